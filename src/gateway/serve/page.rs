//! What the gateway itself says to a browser, or in plain text to whatever else asks.

use std::fmt::Write;

/// A page: a heading, a few sentences, and links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) title: String,
    /// Words between backticks are code.
    pub(super) lines: Vec<String>,
    /// Heading of a list, and address and remark of each entry.
    pub(super) links: Vec<(String, Vec<(String, String)>)>,
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:12vh auto;max-width:42rem;padding:0 1rem;\
color:#222;background:#fff}h1{font-size:1.4rem}h2{font-size:1rem;margin-top:1.6rem}code{background:#eee;\
padding:.1em .3em;border-radius:3px}small{color:#666}@media(prefers-color-scheme:dark){body{color:#ddd;\
background:#161616}code{background:#333}a{color:#8ab4f8}small{color:#999}}";

impl Page {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    #[must_use]
    pub(super) fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// For a person with a terminal, or a program.
    pub(super) fn plain(&self) -> String {
        let mut text = format!("{}\n", self.title);
        for line in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        for (heading, links) in &self.links {
            let _ = writeln!(text, "\n{heading}");
            for (address, remark) in links {
                let _ = writeln!(text, "  {address}  {remark}");
            }
        }
        text
    }

    /// For a browser.
    pub(super) fn html(&self) -> String {
        let mut body = format!("<h1>{}</h1>", code(&self.title));
        for line in &self.lines {
            let _ = write!(body, "<p>{}</p>", code(line));
        }
        for (heading, links) in &self.links {
            let _ = write!(body, "<h2>{}</h2><ul>", escape(heading));
            for (address, remark) in links {
                let (address, remark) = (escape(address), escape(remark));
                let _ = write!(body, "<li><a href=\"{address}\">{address}</a> <small>{remark}</small></li>");
            }
            body.push_str("</ul>");
        }
        format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport \
             content=\"width=device-width\"><title>{}</title><style>{STYLE}</style>{body}<p><small>devenv \
             gateway</small></p></html>\n",
            escape(&self.title)
        )
    }
}

/// Text in which nothing is markup.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The same, with what stands between backticks as code.
fn code(text: &str) -> String {
    let mut parts = text.split('`').enumerate();
    let mut made = String::new();
    for (index, part) in parts.by_ref() {
        let part = escape(part);
        if index % 2 == 1 {
            let _ = write!(made, "<code>{part}</code>");
        } else {
            made.push_str(&part);
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup() {
        let mut page = Page::new("no `<b>`").line("run `devenv up` & \"wait\"");
        page.links.push(("shop".to_owned(), vec![("http://a.localhost".to_owned(), "<up>".to_owned())]));
        let html = page.html();
        assert!(html.contains("<code>&lt;b&gt;</code>") && html.contains("&lt;up&gt;"), "{html}");
        assert!(html.contains("<code>devenv up</code> &amp; &quot;wait&quot;"), "{html}");
        assert_eq!(
            page.plain(),
            "no `<b>`\nrun `devenv up` & \"wait\"\n\nshop\n  http://a.localhost  <up>\n"
        );
    }
}

//! Names of tables and columns as words: `firstName`, `FIRST_NAME`, `firstname` and `first-names` say the same.

/// Words that other words are glued to without a mark between. They only matter for cutting names apart.
const GLUED: &str = "access account activation address admin agent alias answer api app area at audit auth authorization \
    backup balance bank bearer billing birth body browser business candidate card cell certificate challenge change city client \
    code company confirmation contact content cookie count country county credential credit customer data date day \
    delivery device digest direct display district document domain driver email emergency employee encrypted expires \
    family father fax file first full gender given hash head holder home host house id identity image insurance \
    invoice ip job key last legal license line link local location log login maiden mail middle mobile mother name \
    national new nick note number office old order other owner parent pass passcode passphrase passport password path payment \
    person personal phone photo picture pickup place plate poc policy post postal priv private profile province public \
    push real recovery refresh region registration remote reset residence role salt screen secret security seed serial \
    session ship shipping signature site skype social state status street sur surname tax tel telephone text time \
    title token type uri url user value verification version web work year zip";

/// The words of a name, in lower case and in the singular.
#[must_use]
pub(super) fn words(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut word = String::new();
    let characters: Vec<char> = name.chars().collect();
    for (at, c) in characters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| characters.get(before));
        let after = characters.get(at + 1);
        let hump = c.is_uppercase()
            && (before.is_some_and(|before| before.is_lowercase())
                || (before.is_some_and(|before| before.is_uppercase())
                    && after.is_some_and(|after| after.is_lowercase())));
        let number = c.is_ascii_digit() != before.is_some_and(char::is_ascii_digit) && at > 0;
        if !c.is_alphanumeric() || hump || number {
            parts.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase().map(plain));
        }
    }
    parts.extend((!word.is_empty()).then_some(word));
    let mut words = Vec::new();
    for part in parts {
        match unglue(&part) {
            Some(cut) => words.extend(cut),
            None => words.push(singular(&part)),
        }
    }
    joined(words)
}

/// A letter without its marks, as names of columns are written by those who have none on their keyboards.
fn plain(c: char) -> char {
    match c {
        'á' | 'à' | 'â' | 'ã' | 'å' | 'ä' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' | 'ø' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        other => other,
    }
}

/// Two words that are one.
fn joined(words: Vec<String>) -> Vec<String> {
    const PAIRS: [(&str, &str, &str); 6] = [
        ("e", "mail", "email"),
        ("user", "name", "username"),
        ("sur", "name", "surname"),
        ("pass", "word", "password"),
        ("pass", "phrase", "passphrase"),
        ("birth", "day", "birthday"),
    ];
    let mut out: Vec<String> = Vec::new();
    for word in words {
        let pair = PAIRS.iter().find(|(a, b, _)| out.last().is_some_and(|last| last == a) && word == *b);
        match pair {
            Some((.., both)) => {
                out.pop();
                out.push((*both).to_owned());
            }
            None => out.push(word),
        }
    }
    out
}

fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() > 2) {
        return format!("{stem}y");
    }
    for end in ["sses", "shes", "ches", "xes"] {
        if word.ends_with(end) {
            return word[..word.len() - 2].to_owned();
        }
    }
    match word.strip_suffix('s') {
        Some(stem) if stem.len() > 2 && !["s", "u", "i"].iter().any(|end| stem.ends_with(end)) => {
            stem.to_owned()
        }
        _ => word.to_owned(),
    }
}

/// A word cut into known ones, if it is made of two or more of them.
fn unglue(word: &str) -> Option<Vec<String>> {
    if word.len() < 6 || GLUED.split_whitespace().any(|known| known == word || known == singular(word)) {
        return None;
    }
    cut(word, 3)
}

fn cut(word: &str, most: usize) -> Option<Vec<String>> {
    if most == 0 {
        return None;
    }
    let known = |part: &str| GLUED.split_whitespace().any(|known| known == part);
    // The longest beginning first: `passwordhash` is no `pass` of a `wordhash`.
    for at in (2..=word.len()).rev().filter(|at| word.is_char_boundary(*at)) {
        let (head, rest) = word.split_at(at);
        let whole = known(head) || (rest.is_empty() && known(&singular(head)));
        if !whole {
            continue;
        }
        if rest.is_empty() {
            return Some(vec![singular(head)]);
        }
        if let Some(mut behind) = cut(rest, most - 1) {
            behind.insert(0, head.to_owned());
            return Some(behind);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn names_are_cut_into_words() {
        for (name, wanted) in [
            ("firstName", "first name"),
            ("LASTNAME", "last name"),
            ("e_mail", "email"),
            ("eMailAddresses", "email address"),
            ("user_name", "username"),
            ("poc_1_cell", "poc 1 cell"),
            ("HTTPProxyURL", "http proxy url"),
            ("zipcode", "zip code"),
            ("passwordhash", "password hash"),
            ("status", "status"),
            ("ipAddress", "ip address"),
            ("Straße", "straße"),
            ("téléphone", "telephone"),
            ("countries", "country"),
            ("address2", "address 2"),
            ("processes", "process"),
            ("authpassphrase", "auth passphrase"),
        ] {
            assert_eq!(words(name).join(" "), wanted);
        }
    }
}

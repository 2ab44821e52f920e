//! What sampled values say about a column.

use std::collections::BTreeSet;

use crate::mask::find::{self, Sort};

/// How many of a column's values are of each form.
#[derive(Debug, Clone, Default)]
pub(super) struct Forms {
    pub(super) count: usize,
    pub(super) distinct: usize,
    pub(super) email: f32,
    pub(super) phone: f32,
    pub(super) card: f32,
    pub(super) iban: f32,
    pub(super) network: f32,
    pub(super) secret: f32,
    pub(super) person: f32,
    pub(super) national: f32,
    /// Holding something of the above among other words.
    pub(super) inside: f32,
    /// Made of digits alone.
    pub(super) digits: f32,
    /// More than four words.
    pub(super) sentences: f32,
    /// One of a few short words in capitals, or numbers below ten.
    pub(super) codes: f32,
}

pub(super) fn forms(values: &[String]) -> Forms {
    let values: Vec<&str> =
        values.iter().map(|value| value.trim()).filter(|value| !value.is_empty()).collect();
    let share = |test: &dyn Fn(&str) -> bool| {
        let count = values.iter().filter(|value| test(value)).count();
        ratio(count, values.len())
    };
    let whole = |sort: Sort| share(&|value: &str| find::whole(value.as_bytes()) == Some(sort));
    // A plain run of digits is a number of any sort; people group what is dialled.
    let phone = |value: &str| {
        find::whole(value.as_bytes()) == Some(Sort::Phone) && !value.bytes().all(|byte| byte.is_ascii_digit())
    };
    let inside = |value: &str| {
        let mut found = false;
        if value.contains([' ', '"']) {
            find::find(value.as_bytes(), |sort, _| {
                found |= matches!(sort, Sort::Email | Sort::Card | Sort::Iban | Sort::Social | Sort::Secret);
            });
        }
        found
    };
    let digits = |value: &str| value.bytes().all(|byte| byte.is_ascii_digit());
    Forms {
        count: values.len(),
        distinct: values.iter().collect::<BTreeSet<_>>().len(),
        email: whole(Sort::Email),
        phone: share(&phone),
        card: whole(Sort::Card),
        iban: whole(Sort::Iban),
        network: whole(Sort::Network),
        secret: whole(Sort::Secret),
        person: share(&is_person),
        national: share(&is_national),
        inside: share(&inside),
        digits: share(&digits),
        sentences: share(&|value: &str| value.split_whitespace().nth(4).is_some()),
        codes: share(&|value: &str| value.len() <= 3),
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of samples are small")]
fn ratio(part: usize, whole: usize) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 / whole as f32 }
}

/// Given names that are common where most databases are filled, from the statistics offices' yearly lists.
const GIVEN: &str = "aaron abdul adam adrian ahmed aisha alan albert alejandro alex alexander alexandra ali alice amanda \
    amy ana andrea andreas andrew angela ann anna anne anthony antonio arthur barbara benjamin bernd betty brandon brenda \
    brian bruce camille carl carlos carol caroline catherine charles charlotte chloe christian christine christopher \
    claire claudia cynthia daniel david deborah dennis diana diego donald donna dorothy douglas edward elena eli \
    elizabeth emily emma eric erik ethan eva evelyn fatima fernando francesco francisco frank fred gabriel gary george \
    gerald giovanni giulia gloria grace gregory hans harold harry heather helen henry ian ines ingrid isabella ivan jack \
    jacob jacqueline james jan jane janet jason jean jeffrey jennifer jeremy jessica joan joe johann john jonathan jorge \
    jose joseph joshua joyce juan judith julia julie julien justin karen karl katherine kathleen keith kelly kenneth \
    kevin kimberly larry laura lauren lawrence lea lena leon linda lisa louis luca lucas lucia luis luke margaret maria \
    marie marilyn mario mark markus marta martha martin mary matthew mehmet melissa michael michelle miguel mohamed \
    mohammed monica nancy natalia natalie nathan nicholas nicolas nicole noah nora oliver olivia omar pablo pamela \
    patricia patrick paul pedro peter petra philip pierre rachel ralph raymond rebecca ricardo richard robert roger \
    ronald rosa rose roy russell ruth ryan samantha samuel sandra sara sarah scott sean sharon shirley sofia sophia \
    sophie stefan stephanie stephen steven susan susanne sven teresa theresa thomas timothy tyler victor victoria \
    vincent virginia walter wayne wei william willie wolfgang yan yusuf zachary";

/// Whether a value reads as the name of a person: two to four words, one of them a common given name.
fn is_person(value: &str) -> bool {
    let words: Vec<&str> = value.split([' ', ',', '.']).filter(|word| !word.is_empty()).collect();
    let named = |word: &&str| {
        let lower = word.to_lowercase();
        word.starts_with(char::is_uppercase) && GIVEN.split_whitespace().any(|name| name == lower)
    };
    let plain = |word: &&str| word.chars().all(|c| c.is_alphabetic() || "'-()\"’".contains(c));
    (2..=6).contains(&words.len()) && words.iter().all(plain) && words.iter().any(named)
}

/// National numbers whose check digits are right: Spain's DNI and NIE, Brazil's CPF, Italy's codice fiscale by its
/// form, Britain's national insurance number by its form.
fn is_national(value: &str) -> bool {
    let value: String =
        value.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    let bytes = value.as_bytes();
    let shape: String = value.chars().map(|c| if c.is_ascii_digit() { '9' } else { 'A' }).collect();
    match shape.as_str() {
        "99999999A" | "A9999999A" => {
            let head = match bytes[0] {
                b'X' => "0",
                b'Y' => "1",
                b'Z' => "2",
                byte if byte.is_ascii_digit() => "",
                _ => return false,
            };
            let digits = format!("{head}{}", value[usize::from(!head.is_empty())..8].trim());
            let number: usize = digits.parse().unwrap_or(0);
            b"TRWAGMYFPDXBNJZSQVHLCKE"[number % 23] == bytes[8]
        }
        "99999999999" => cpf(bytes),
        "AAAAAA99A99A999A" => true,
        "AA999999A" => matches!(bytes[8], b'A'..=b'D') && !b"DFIQUV".contains(&bytes[0]),
        _ => false,
    }
}

fn cpf(digits: &[u8]) -> bool {
    let check = |count: usize| {
        let sum: usize = digits[..count]
            .iter()
            .enumerate()
            .map(|(at, digit)| usize::from(digit - b'0') * (count + 1 - at))
            .sum();
        sum * 10 % 11 % 10
    };
    digits.iter().any(|digit| *digit != digits[0])
        && check(9) == usize::from(digits[9] - b'0')
        && check(10) == usize::from(digits[10] - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_counted() {
        let values: Vec<String> =
            ["ann@x.org", "bob@y.org", "+49 30 901820", "John Smith"].map(str::to_owned).to_vec();
        let forms = forms(&values);
        assert!(forms.email > 0.4 && forms.phone > 0.2 && forms.person > 0.2 && forms.count == 4);
        assert!(
            is_person("Allen, Miss. Elisabeth Anne")
                && !is_person("Academy Dinosaur")
                && !is_person("mark twain")
        );
        assert!(is_national("12345678Z") && !is_national("12345678A") && is_national("529.982.247-25"));
    }
}

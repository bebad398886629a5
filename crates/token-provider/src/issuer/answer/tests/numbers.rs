//! HERE's numbers: what is said about each, in whichever spelling it comes, and that the docs say the same.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::super::remedy::{refusal, remedy};
use super::*;

/// What is expected for each; the file names its sources.
const NUMBERS: &str = include_str!("../../../../testdata/numbers.json");

#[derive(Deserialize)]
struct Numbers {
    numbers: Vec<Row>,
}

/// How each may be spelled, with 999999 for it; the file says what else it holds. The fuzz target has it, too.
const SPELLINGS: &str = include_str!("../../../../testdata/number-spellings.json");

#[derive(Deserialize)]
struct Spellings {
    bodies: Vec<Value>,
}

#[derive(Deserialize)]
struct Row {
    number: u32,
    status: u16,
    kind: String,
    message: String,
    for_a_private_key: Option<String>,
}

fn documented() -> Vec<Row> {
    serde_json::from_str::<Numbers>(NUMBERS).expect("the table is well-formed").numbers
}

/// Every spelling that HERE has for a number; [`MARKER`] is its text.
fn spellings(status: u16, number: u32) -> Vec<String> {
    let spelled = |body: &Value| {
        let body = body.to_string().replace("888", &status.to_string());
        body.replace("999999", &number.to_string()).replace("TEXT", MARKER)
    };
    let spellings: Spellings = serde_json::from_str(SPELLINGS).expect("the table is well-formed");
    spellings.bodies.iter().map(spelled).collect()
}

#[test]
fn every_number_says_what_to_do_in_every_spelling() {
    let (rows, private_key) = (documented(), private_key());
    assert_eq!(rows.len(), 56);
    for Row { number, status, kind, message, for_a_private_key } in rows {
        let kind = match kind.as_str() {
            "clock" => TokenErrorKind::ClockSkew,
            "throttled" => TokenErrorKind::Throttled,
            "unavailable" => TokenErrorKind::Unavailable { status },
            _ => TokenErrorKind::Rejected { status, code: Some(number) },
        };
        for body in spellings(status, number) {
            let error = read_err(status, &body);
            assert_eq!((error.kind(), error.to_string()), (kind, message.clone()), "{body}");
            assert!(!shown(&error).contains(MARKER), "{error:?}");
            let error = answer_to(&private_key, status, HeaderMap::new(), &body).expect_err(&body);
            assert_eq!(error.to_string(), *for_a_private_key.as_ref().unwrap_or(&message), "{body}");
        }
    }
}

#[test]
fn number_of_the_whole_counts_unless_it_refers_to_the_fields() {
    let code = |body: &str| match read_err(400, body).kind() {
        TokenErrorKind::Rejected { code, .. } => code,
        other => panic!("{other:?}"),
    };
    for (body, expected) in [
        // As HERE's C++ SDK expects them.
        (r#"{"errorCode":401300,"errorFields":[{"errorCode":400201}]}"#, Some(401_300)),
        (r#"{"errorCode":400200,"errorFields":[{"errorCode":400205},{"errorCode":400203}]}"#, Some(400_205)),
        // Nothing of use inside.
        (r#"{"errorCode":400200,"errorFields":[]}"#, Some(400_200)),
        (r#"{"errorCode":400200,"errorFields":{"errorCode":400209}}"#, Some(400_200)),
        (r#"{"errorCode":400200,"errorFields":[null,[],{"errorCode":1},{"errorCode":true}]}"#, Some(400_200)),
        (
            r#"{"error_description":"errorCode: '400200'. x","errorFields":[{"errorCode":400209}]}"#,
            Some(400_209),
        ),
        // `E110000` is a class of errors.
        (r#"{"code":"E110000","title":"x"}"#, None),
        (r#"{"code":"E110000","cause":"errorCode: 403403. x"}"#, Some(403_403)),
        (r#"{"errorCode":0,"code":"E401424"}"#, Some(401_424)),
    ] {
        assert_eq!(code(body), expected, "{body}");
    }
}

#[test]
fn number_out_of_range_is_none() {
    for number in
        ["0", "7", "399999", "600000", "4013000", "4294967297", "18446744073709551616", "-401300", "4.013e99"]
    {
        for body in [
            format!(r#"{{"errorCode":{number}}}"#),
            format!(r#"{{"errorCode":"{number}"}}"#),
            format!(r#"{{"errorId":"x","code":"E{number}"}}"#),
            format!(r#"{{"error_description":"errorCode: '{number}'."}}"#),
            format!(r#"{{"errorCode":{number},"errorFields":[{{"errorCode":{number}}}]}}"#),
        ] {
            let error = read_err(401, &body);
            assert_eq!(error.kind(), TokenErrorKind::Rejected { status: 401, code: None }, "{body}");
            assert!(error.to_string().starts_with("HERE refused the access key (status 401)"), "{error}");
        }
    }
}

/// A row of the docs: numbers, and the messages.
fn rows_of_the_docs() -> Vec<(Vec<RangeInclusive<u32>>, String)> {
    let page = include_str!("../../../../../../docs/troubleshooting.md");
    let rows = page.lines().filter_map(|line| {
        let [numbers, messages, _, _] = line.strip_prefix("| ")?.split(" | ").collect::<Vec<_>>()[..] else {
            return None;
        };
        let ranges = numbers.split(", ").filter_map(|range| {
            let (first, last) = range.split_once(" to ").unwrap_or((range, range));
            Some(first.parse().ok()?..=last.parse().ok()?)
        });
        Some((ranges.collect(), messages.to_owned()))
    });
    rows.filter(|(ranges, _): &(Vec<_>, _)| !ranges.is_empty()).collect()
}

#[test]
fn troubleshooting_explains_every_number_and_no_other() {
    let rows = rows_of_the_docs();
    assert!(rows.len() > 20, "{rows:?}");
    let [access_key, private_key] =
        [access_key(), private_key()].map(|credential| credential.with_place("…"));
    // What is wrong, by row, so that a range does not fill the screen.
    let mut wrong = BTreeMap::new();
    let listed = rows.iter().flat_map(|(ranges, _)| ranges);
    assert!(listed.map(RangeInclusive::end).all(|last| *last < 430_000), "which are looked at");
    for number in (400_000..430_000).chain((430_000..600_000).step_by(97)) {
        let row = rows.iter().find(|(ranges, _)| ranges.iter().any(|range| range.contains(&number)));
        for credential in [&access_key, &private_key] {
            let message = match number {
                429_002 | 429_003 => Some(TOO_MANY.to_owned()),
                _ => remedy(number).map(|_| refusal(400, Some(number), credential).to_string()),
            };
            let message = message.map(|message| message.replace(&number.to_string(), "…"));
            let agree = match (&row, &message) {
                (Some((_, messages)), Some(message)) => messages.contains(&format!("`{message}`")),
                (None, None) => true,
                _ => false,
            };
            if !agree {
                wrong.entry((row.map(|(_, messages)| messages), message)).or_insert(number);
            }
        }
    }
    assert!(wrong.is_empty(), "docs/troubleshooting.md says something else: {wrong:#?}");
}

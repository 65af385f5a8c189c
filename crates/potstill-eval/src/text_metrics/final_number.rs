//! The number that an answer comes to.

/// The number behind the last `####`, as in GSM8K, or the last number at all.
///
/// Signs, thousands separators, decimals and exponents are read; currency and percent signs are not
/// part of a number.
///
/// ```
/// use potstill_eval::final_number;
///
/// assert_eq!(final_number("She pays $1,250.50. #### 1250.5"), Some(1250.5));
/// assert_eq!(final_number("3 + 4 = 7, so the answer is -7."), Some(-7.0));
/// assert_eq!(final_number("no idea"), None);
/// ```
#[must_use]
pub fn final_number(text: &str) -> Option<f64> {
    match text.rsplit_once("####") {
        Some((_, answer)) => numbers(answer).into_iter().next(),
        None => numbers(text).into_iter().next_back(),
    }
}

/// Whether two answers come to the same number; never where one comes to none.
#[must_use]
pub fn same_final_number(answer: &str, expected: &str) -> bool {
    match (final_number(answer), final_number(expected)) {
        (Some(answer), Some(expected)) => {
            (answer - expected).abs() <= 1e-9 * answer.abs().max(expected.abs())
        }
        _ => false,
    }
}

fn numbers(text: &str) -> Vec<f64> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut place = 0;
    while place < bytes.len() {
        if !bytes[place].is_ascii_digit() {
            place += 1;
            continue;
        }
        let (number, end) = number_at(text, place);
        found.extend(number);
        place = end;
    }
    found
}

/// The number whose first digit is at `start`, and where it ends.
fn number_at(text: &str, start: usize) -> (Option<f64>, usize) {
    let bytes = text.as_bytes();
    let digit = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_digit);
    let three = |place: usize| (1..=3).all(|k| digit(place + k)) && !digit(place + 4);
    let mut end = start;
    let mut digits = String::new();
    while digit(end) || (bytes.get(end) == Some(&b',') && three(end)) {
        if digit(end) {
            digits.push(char::from(bytes[end]));
        }
        end += 1;
    }
    if start > 0 && bytes[start - 1] == b'.' {
        digits.insert_str(0, "0.");
    } else if bytes.get(end) == Some(&b'.') && digit(end + 1) {
        digits.push('.');
        end += 1;
        while digit(end) {
            digits.push(char::from(bytes[end]));
            end += 1;
        }
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        if digit(end + 1 + sign) {
            let mut last = end + 1 + sign;
            while digit(last) {
                last += 1;
            }
            digits.push_str(&text[end..last]);
            end = last;
        }
    }
    let before = text[..start].trim_end_matches(['.', '$', '€', '£']);
    let is_negative = before.ends_with(['-', '−'])
        && !before[..before.len() - before.chars().next_back().map_or(0, char::len_utf8)]
            .ends_with(|c: char| c.is_alphanumeric() || c == ')');
    let value = digits.parse::<f64>().ok().filter(|value| value.is_finite());
    (
        value.map(|value| if is_negative { -value } else { value }),
        end,
    )
}

//! The text of a web page.

/// What is between the tags, without scripts and styles; blocks end with a line.
pub(crate) fn text(page: &str) -> String {
    let mut text = String::with_capacity(page.len() / 2);
    let mut rest = page;
    while let Some(begin) = rest.find('<') {
        push_unescaped(&mut text, &rest[..begin]);
        rest = &rest[begin..];
        let name: String = rest[1..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '!' | '-'))
            .collect::<String>()
            .to_ascii_lowercase();
        let end = match name.as_str() {
            "script" | "style" => rest.find(&format!("</{name}")),
            "!--" => rest.find("-->"),
            _ => Some(0),
        };
        rest = &rest[end.unwrap_or(rest.len())..];
        rest = rest.find('>').map_or("", |end| &rest[end + 1..]);
        let block = name.trim_start_matches('/');
        if matches!(
            block,
            "p" | "div"
                | "li"
                | "tr"
                | "br"
                | "h1"
                | "h2"
                | "h3"
                | "h4"
                | "pre"
                | "dt"
                | "dd"
                | "title"
        ) {
            text.push('\n');
        }
    }
    push_unescaped(&mut text, rest);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines.join("\n")
}

fn push_unescaped(text: &mut String, raw: &str) {
    let mut rest = raw;
    while let Some(begin) = rest.find('&') {
        text.push_str(&rest[..begin]);
        rest = &rest[begin..];
        let end = rest.char_indices().take(10).find(|(_, c)| *c == ';');
        let Some((end, _)) = end else {
            text.push('&');
            rest = &rest[1..];
            continue;
        };
        match character(&rest[1..end]) {
            Some(character) => text.push(character),
            None => text.push_str(&rest[..=end]),
        }
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "nbsp" => Some(' '),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn tags_scripts_and_entities_go() {
        let page = "<html><title>A &amp; B</title><script>if (a<b) x();</script><!-- <p>no -->\
            <p>one <b>two</b></p><p>3 &lt; 4 &#8212; &unknown; & so on";
        assert_eq!(
            text(page),
            "A & B\none two\n3 < 4 \u{2014} &unknown; & so on"
        );
        assert_eq!(text("<p>open <script>never closed"), "open");
        assert_eq!(text("a < b"), "a");
    }
}

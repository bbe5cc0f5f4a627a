//! Markup that texts cannot break out of: markup is written in this program, and everything else is
//! escaped on its way in.

/// A page as it grows.
#[derive(Debug, Default)]
pub struct Html {
    text: String,
}

impl Html {
    /// Adds markup, which is part of this program.
    pub fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.text.push_str(markup);
        self
    }

    /// Adds a text, wherever it comes from.
    pub fn text(&mut self, text: &str) -> &mut Html {
        for character in text.chars() {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\'' => self.text.push_str("&#39;"),
                // Neither control characters nor what turns the direction of writing.
                _ if character.is_control() || is_direction(character) => {
                    self.text.push('\u{fffd}');
                }
                _ => self.text.push(character),
            }
        }
        self
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) -> &mut Html {
        self.text.push_str(&number.to_string());
        self
    }

    /// Adds a cell of a table.
    pub fn cell(&mut self, text: &str) -> &mut Html {
        self.raw("<td>").text(text).raw("</td>")
    }

    /// Adds a cell of a table that holds a figure.
    pub fn figure(&mut self, text: &str) -> &mut Html {
        self.raw("<td class=\"n\">").text(&grouped(text)).raw("</td>")
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }
}

/// A figure with its thousands apart; any other text as it is.
pub fn grouped(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    if whole.is_empty() || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let mut grouped = sign.to_owned();
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            // A narrow blank at which no line breaks.
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped + rest
}

fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        assert_eq!(grouped("-1234567.89"), "-1\u{202f}234\u{202f}567.89");
        for same in ["999", "0.05", "-0.05", "-", "not known", "", "12a4", "2-3"] {
            assert_eq!(grouped(same), same);
        }
    }

    #[test]
    fn texts_stay_texts() {
        let mut html = Html::default();
        html.raw("<p title=\"").text("\"><script>'&\u{202e}\n").raw("\">").number(7);
        assert_eq!(
            html.finish(),
            "<p title=\"&quot;&gt;&lt;script&gt;&#39;&amp;\u{fffd}\u{fffd}\">7"
        );
    }
}

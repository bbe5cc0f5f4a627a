//! Writes XML 1.0 as a stream: elements in the order in which they come, text escaped.

use std::io;
use std::io::Write;

use quick_xml::Writer;
use quick_xml::events::BytesDecl;
use quick_xml::events::BytesEnd;
use quick_xml::events::BytesStart;
use quick_xml::events::BytesText;
use quick_xml::events::Event;

use super::is_xml_character;

/// Elements down to this depth stand on lines of their own: a message's head is read by people, and
/// each of its many entries is one line.
const LINES_DEPTH: usize = 3;

/// What is open is closed in turn, so that whatever is written is well formed.
pub(in crate::formats) struct XmlWriter<W: Write> {
    writer: Writer<W>,
    open: Vec<&'static str>,
}

impl<W: Write> XmlWriter<W> {
    /// Begins a document in UTF-8.
    pub(in crate::formats) fn new(out: W) -> io::Result<XmlWriter<W>> {
        let mut writer = Writer::new(out);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        Ok(XmlWriter { writer, open: Vec::new() })
    }

    /// Opens an element.
    pub(in crate::formats) fn open(&mut self, name: &'static str) -> io::Result<()> {
        self.open_with(name, None)
    }

    /// Opens an element that has an attribute.
    pub(in crate::formats) fn open_with(
        &mut self,
        name: &'static str,
        attribute: Option<(&str, &str)>,
    ) -> io::Result<()> {
        if self.open.len() <= LINES_DEPTH {
            self.writer.get_mut().write_all(b"\n")?;
        }
        let tag = BytesStart::new(name).with_attributes(attribute);
        self.open.push(name);
        self.writer.write_event(Event::Start(tag))
    }

    /// Closes the innermost element.
    pub(in crate::formats) fn close(&mut self) -> io::Result<()> {
        let Some(name) = self.open.pop() else { return Ok(()) };
        if self.open.len() < LINES_DEPTH {
            self.writer.get_mut().write_all(b"\n")?;
        }
        self.writer.write_event(Event::End(BytesEnd::new(name)))
    }

    /// Writes an element that holds a text.
    pub(in crate::formats) fn text(&mut self, name: &'static str, text: &str) -> io::Result<()> {
        self.text_with(name, None, text)
    }

    /// Writes an element that has an attribute and holds a text.
    pub(in crate::formats) fn text_with(
        &mut self,
        name: &'static str,
        attribute: Option<(&str, &str)>,
        text: &str,
    ) -> io::Result<()> {
        if !text.chars().all(is_xml_character) {
            let message = format!("XML has no place for the text of {name}: {text:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.open_with(name, attribute)?;
        self.writer.write_event(Event::Text(BytesText::new(text)))?;
        self.close()
    }

    /// Writes elements inside of each other, the innermost of which holds a text.
    pub(in crate::formats) fn nested(
        &mut self,
        path: &[&'static str],
        text: &str,
    ) -> io::Result<()> {
        let Some((last, holders)) = path.split_last() else { return Ok(()) };
        holders.iter().try_for_each(|name| self.open(name))?;
        self.text(last, text)?;
        holders.iter().try_for_each(|_| self.close())
    }

    /// Closes what is open, and gives back what was written to.
    pub(in crate::formats) fn finish(mut self) -> io::Result<W> {
        while !self.open.is_empty() {
            self.close()?;
        }
        let mut out = self.writer.into_inner();
        out.write_all(b"\n")?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_is_escaped_and_what_is_open_is_closed() {
        let mut xml = XmlWriter::new(Vec::new()).unwrap();
        xml.open_with("Document", Some(("xmlns", "a\"b<c"))).unwrap();
        xml.nested(&["A", "B", "C", "D"], "<x>&'\"]]>").unwrap();
        let text = String::from_utf8(xml.finish().unwrap()).unwrap();
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Document xmlns=\"a&quot;b&lt;c\">\n<A>\n<B>\n\
             <C><D>&lt;x&gt;&amp;&apos;&quot;]]&gt;</D></C>\n</B>\n</A>\n</Document>\n"
        );
    }

    #[test]
    fn what_xml_cannot_hold_is_refused() {
        for text in ["a\0b", "\u{1}", "\u{fffe}", "\u{1b}[2J"] {
            let mut xml = XmlWriter::new(Vec::new()).unwrap();
            assert_eq!(xml.text("A", text).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}

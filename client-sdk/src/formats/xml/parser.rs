//! Events to nodes. Everything that a file may do to its reader is bounded here.

use std::borrow::Cow;
use std::io::BufRead;

use quick_xml::XmlVersion;
use quick_xml::events::BytesRef;
use quick_xml::events::BytesStart;
use quick_xml::events::Event;
use quick_xml::name::QName;
use quick_xml::reader::Reader;

use super::ATTRIBUTES_MAX;
use super::DEPTH_MAX;
use super::ELEMENTS_MAX;
use super::Element;
use super::NAME_LENGTH_MAX;
use super::NONE;
use super::Node;
use super::SIZE_MAX;
use super::Tree;
use super::is_xml_character;
use super::no_document;
use super::position_of;
use super::source::Source;
use crate::formats::error::FormatError;
use crate::formats::error::quote;
use crate::formats::message::MessageName;

/// Makes a tree of a reader's bytes, step by step. A caller may take elements out again once they
/// are complete, so that what is held at a time is bounded however long the file is.
pub(crate) struct Parser<R> {
    reader: Reader<Source<R>>,
    buffer: Vec<u8>,
    tree: Tree,
    open: Vec<Open>,
    /// Bytes of texts, currencies and namespaces that are held.
    held: usize,
    /// The element that was completed last, and what the tree held before it.
    closed: (u32, usize),
    begun: bool,
}

/// An element whose end tag has not come yet.
struct Open {
    index: u32,
    last_child: u32,
    /// The child before the last.
    child_before: u32,
    namespaces: Vec<(String, String)>,
    /// What the tree held before it.
    held: usize,
    /// The name and the ordinal of the child that was taken out last.
    taken: Option<(Box<str>, u32)>,
}

/// What a step has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// An element began; it is the innermost open one now.
    Opened(u32),
    /// An element is complete.
    Closed(u32),
    /// Neither.
    Passed,
    /// The file is at its end.
    Finished,
}

impl<R: BufRead> Parser<R> {
    /// Of bytes that have no byte order mark.
    pub(crate) fn new(reader: R) -> Parser<R> {
        let mut reader = Reader::from_reader(Source::new(reader));
        reader.config_mut().expand_empty_elements = true;
        Parser {
            reader,
            buffer: Vec::new(),
            tree: Tree::default(),
            open: Vec::new(),
            held: 0,
            closed: (NONE, 0),
            begun: false,
        }
    }

    /// Takes one event.
    pub(crate) fn step(&mut self) -> Result<Step, FormatError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.reader.get_mut().begin_piece(SIZE_MAX);
        let line = self.line();
        let step = match self.reader.read_event_into(&mut buffer) {
            Ok(event) => self.take(event),
            Err(quick_xml::Error::Io(error)) => Err(self.reader.get_ref().refusal(&error)),
            Err(quick_xml::Error::Encoding(_)) => Err(not_utf8(line, &buffer)),
            Err(error) => Err(self.malformed(error.to_string())),
        };
        self.buffer = buffer;
        step
    }

    fn take(&mut self, event: Event<'_>) -> Result<Step, FormatError> {
        let first = !std::mem::replace(&mut self.begun, true);
        self.refuse_control_characters(&event)?;
        match event {
            Event::Start(tag) => return self.start(&tag).map(Step::Opened),
            // Not met: empty elements are expanded.
            Event::Empty(_) => {}
            Event::End(_) => return self.end().map(Step::Closed),
            Event::Text(text) => self.text(text.xml10_content())?,
            Event::CData(text) => self.text(text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let character = self.resolve(&reference)?;
                self.text(Cow::Owned(character.to_string()))?;
            }
            Event::Comment(_) => {}
            Event::Decl(declaration) if first => {
                let encoding = declaration.encoding().transpose();
                let encoding = encoding.map_err(|error| malformed(1, error.to_string()))?;
                if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("UTF-8")) {
                    return Err(self.refuse("an encoding other than UTF-8", "write it as UTF-8"));
                }
            }
            Event::Decl(_) => {
                return Err(self.refuse("an XML declaration that is not at the start", "remove it"));
            }
            Event::PI(_) => return Err(self.refuse("a processing instruction", "remove it")),
            Event::DocType(_) => return Err(self.refuse("a DOCTYPE", "remove it")),
            Event::Eof if self.open.is_empty() => return Ok(Step::Finished),
            Event::Eof => return Err(self.malformed("the file ends inside of an element")),
        }
        Ok(Step::Passed)
    }

    fn refuse_control_characters(&self, event: &str) -> Result<(), FormatError> {
        match event.chars().find(|character| !is_xml_character(*character)) {
            None => Ok(()),
            Some(character) => {
                let fact = format!("the control character U+{:04X}", u32::from(character));
                Err(self.refuse(fact, "remove it"))
            }
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<u32, FormatError> {
        if self.open.len() == DEPTH_MAX {
            return Err(self.refuse(
                format!("elements more than {DEPTH_MAX} deep"),
                "check what wrote this file: no message of ISO 20022 is so deep",
            ));
        }
        if self.tree.nodes.len() == ELEMENTS_MAX {
            let fact = format!("more than {ELEMENTS_MAX} elements");
            return Err(self.refuse(fact, "split the message into several files"));
        }
        if self.open.is_empty() && !self.tree.nodes.is_empty() {
            return Err(self.refuse("a second root element", "keep one message a file"));
        }
        if tag.local_name().into_inner().len() > NAME_LENGTH_MAX {
            let fact = format!("an element's name of more than {NAME_LENGTH_MAX} bytes");
            return Err(self.refuse(fact, "check what wrote this file"));
        }
        let (currency, namespaces) = self.attributes(tag)?;
        let held = self.held;
        let declared = namespaces.iter().map(|(prefix, uri)| prefix.len() + uri.len());
        self.hold(currency.as_ref().map_or(0, String::len) + declared.sum::<usize>())?;
        let index = u32::try_from(self.tree.nodes.len()).expect("ELEMENTS_MAX fits 32 bits");
        let name: Box<str> = tag.local_name().into_inner().into();
        let (parent, ordinal) = self.attach(index, &name);
        let document = self.tree.document;
        let outside = document == NONE || self.open.iter().all(|open| open.index != document);
        self.open.push(Open {
            index,
            last_child: NONE,
            child_before: NONE,
            namespaces,
            held,
            taken: None,
        });
        if outside && &*name == "Document" {
            if document != NONE {
                return Err(self.refuse("a second Document element", "keep one message a file"));
            }
            let message = MessageName::of_namespace(self.namespace_of(tag.name()))?;
            (self.tree.document, self.tree.message) = (index, Some(message));
        } else if outside && self.tree.header == NONE && &*name == "AppHdr" {
            self.tree.header = index;
        }
        self.tree.nodes.push(Node {
            name,
            text: String::new(),
            currency,
            parent,
            first_child: NONE,
            next_sibling: NONE,
            ordinal,
        });
        Ok(index)
    }

    /// Hangs a new node below the innermost open element; its parent, and its ordinal.
    fn attach(&mut self, index: u32, name: &str) -> (u32, u32) {
        let Some(open) = self.open.last_mut() else { return (NONE, 1) };
        let parent = open.index;
        let taken = open.taken.take();
        let previous = std::mem::replace(&mut open.last_child, index);
        open.child_before = previous;
        if previous == NONE {
            self.tree.node_mut(parent).first_child = index;
        } else {
            self.tree.node_mut(previous).next_sibling = index;
        }
        let neighbour = match &taken {
            Some((before, ordinal)) => Some((before, *ordinal)),
            None if previous == NONE => None,
            None => {
                let previous = self.tree.node(previous);
                Some((&previous.name, previous.ordinal))
            }
        };
        let before = match neighbour {
            Some((before, ordinal)) if **before == *name => ordinal,
            _ => 0,
        };
        (parent, before + 1)
    }

    /// Takes out the element that was completed last: its nodes are gone, its place in the count
    /// of its neighbours stays.
    pub(crate) fn take_out(&mut self) {
        let (index, held) = std::mem::replace(&mut self.closed, (NONE, 0));
        let Some(open) = self.open.last_mut().filter(|_| index != NONE) else { return };
        let node = self.tree.node_mut(index);
        open.taken = Some((std::mem::take(&mut node.name), node.ordinal));
        open.last_child = open.child_before;
        match open.child_before {
            NONE => self.tree.node_mut(open.index).first_child = NONE,
            before => self.tree.node_mut(before).next_sibling = NONE,
        }
        self.tree.nodes.truncate(position_of(index));
        self.held = held;
    }

    fn end(&mut self) -> Result<u32, FormatError> {
        let open = self.open.pop().ok_or_else(|| self.malformed("an end tag without a start"))?;
        let node = self.tree.node_mut(open.index);
        if (node.first_child != NONE || open.taken.is_some()) && !node.text.trim().is_empty() {
            let fact = format!("text between the elements of {}", quote(&node.name));
            return Err(self.malformed(fact));
        }
        self.closed = (open.index, open.held);
        Ok(open.index)
    }

    /// The `Ccy` attribute and the namespaces that a tag declares.
    fn attributes(&self, tag: &BytesStart<'_>) -> Result<Attributes, FormatError> {
        let mut seen: Vec<String> = Vec::new();
        let mut currency = None;
        let mut namespaces = Vec::new();
        // quick-xml compares every attribute with every other; the count is bounded first.
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| self.malformed(error.to_string()))?;
            if seen.len() == ATTRIBUTES_MAX {
                let fact = format!("a tag with more than {ATTRIBUTES_MAX} attributes");
                return Err(self.refuse(fact, "check what wrote this file"));
            }
            let key = attribute.key.into_inner();
            if seen.iter().any(|other| other == key) {
                return Err(self.malformed(format!("the attribute {} twice", quote(key))));
            }
            seen.push(key.to_owned());
            let value = attribute.normalized_value(XmlVersion::Explicit1_0);
            let value = value.map_err(|error| self.malformed(error.to_string()))?;
            if key == "Ccy" {
                currency = Some(value.into_owned());
            } else if key == "xmlns" {
                namespaces.push((String::new(), value.into_owned()));
            } else if let Some(prefix) = key.strip_prefix("xmlns:") {
                namespaces.push((prefix.to_owned(), value.into_owned()));
            }
        }
        Ok((currency, namespaces))
    }

    /// The namespace in force for a name of the innermost open element; empty if none.
    fn namespace_of(&self, name: QName<'_>) -> &str {
        let prefix = name.prefix().map_or("", |prefix| prefix.into_inner());
        let mut declared = self.open.iter().rev().flat_map(|open| &open.namespaces);
        declared.find(|(declared, _)| declared == prefix).map_or("", |(_, uri)| uri)
    }

    fn text(&mut self, text: Cow<'_, str>) -> Result<(), FormatError> {
        let Some(open) = self.open.last() else {
            let blank = text.trim().is_empty();
            return if blank { Ok(()) } else { Err(self.malformed("text outside of the root")) };
        };
        let index = open.index;
        // White space between elements is not text, and a long file is full of it.
        let children = self.tree.node(index).first_child != NONE || open.taken.is_some();
        if children && text.trim().is_empty() {
            return Ok(());
        }
        self.hold(text.len())?;
        self.tree.node_mut(index).text.push_str(&text);
        Ok(())
    }

    fn hold(&mut self, bytes: usize) -> Result<(), FormatError> {
        self.held += bytes;
        if self.held > SIZE_MAX {
            let fact = format!("more than {SIZE_MAX} bytes in one entry or outside of entries");
            return Err(self.refuse(fact, "split the message into several files"));
        }
        Ok(())
    }

    fn resolve(&self, reference: &BytesRef<'_>) -> Result<char, FormatError> {
        let numeric = reference.resolve_char_ref();
        let numeric = numeric.map_err(|error| self.malformed(error.to_string()))?;
        let named = match &**reference {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => None,
        };
        numeric.filter(|character| is_xml_character(*character)).or(named).ok_or_else(|| {
            let fact = format!("the entity {}", quote(&format!("&{};", &**reference)));
            self.refuse(fact, "write the character itself: only XML's own five are read")
        })
    }

    /// What has been read, if it is a message.
    pub(crate) fn finish(self) -> Result<Tree, FormatError> {
        if self.tree.document == NONE { Err(no_document()) } else { Ok(self.tree) }
    }

    /// What has been read and not taken out.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// An element that was opened or closed.
    pub(crate) fn element(&self, index: u32) -> Element<'_> {
        Element { tree: &self.tree, index }
    }

    fn line(&self) -> usize {
        self.reader.get_ref().line()
    }

    fn malformed(&self, fact: impl Into<String>) -> FormatError {
        malformed(self.line(), fact)
    }

    fn refuse(&self, fact: impl Into<String>, fix: &str) -> FormatError {
        FormatError::new(format!("line {}", self.line()), fact, fix)
    }
}

type Attributes = (Option<String>, Vec<(String, String)>);

fn malformed(line: usize, fact: impl Into<String>) -> FormatError {
    FormatError::new(format!("line {line}"), fact, "the file must be well-formed XML 1.0")
}

/// Bytes that are not UTF-8 in what began in a line.
fn not_utf8(line: usize, bytes: &[u8]) -> FormatError {
    let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let line = line + bytes.iter().take(valid).filter(|byte| **byte == b'\n').count();
    FormatError::new(format!("line {line}"), "bytes that are not UTF-8", "write it as UTF-8")
}

//! Changes that keep the frame of a protobuf message: its fields are taken apart, one of them is
//! changed, dropped, doubled or exchanged, and all lengths around it are made to fit again.

use crate::mutator;
use crate::random::Random;

/// Messages are taken apart this deep.
const DEPTH_MAX: usize = 8;

/// A field of a message.
#[derive(Clone)]
struct Field {
    number: u64,
    value: Value,
}

#[derive(Clone)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    /// Bytes that are no message, or are not looked into.
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

/// The message with one change. None if the bytes are no message.
pub fn changed(random: &mut Random, bytes: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let mut fields = read(bytes, DEPTH_MAX)?;
    let donor = read(other, DEPTH_MAX).unwrap_or_default();
    change(random, &mut fields, &donor);
    let mut changed = Vec::new();
    write(&fields, &mut changed);
    Some(changed)
}

fn change(random: &mut Random, fields: &mut Vec<Field>, donor: &[Field]) {
    if fields.is_empty() {
        fields.extend(donor.first().cloned());
        return;
    }
    let at = random.below(fields.len());
    match random.below(12) {
        0 => drop(fields.remove(at)),
        1 => fields.insert(at, fields[at].clone()),
        2 => {
            let with = random.below(fields.len());
            fields.swap(at, with);
        }
        3 => {
            // The same field of another message, if it has it.
            let same = |field: &&Field| field.number == fields[at].number;
            if let Some(field) = donor.iter().find(same) {
                fields[at] = field.clone();
            }
        }
        4 => fields[at].number = u64::try_from(random.below(24)).unwrap_or(0) + 1,
        _ => {
            let same = |field: &&Field| field.number == fields[at].number;
            let donor = donor.iter().find(same).map(|field| field.value.clone());
            change_value(random, &mut fields[at].value, donor);
        }
    }
}

fn change_value(random: &mut Random, value: &mut Value, donor: Option<Value>) {
    match value {
        Value::Varint(number) => {
            *number = match random.below(3) {
                0 => number.wrapping_add(1),
                1 => number.wrapping_sub(1),
                _ => mutator::edge(random),
            }
        }
        Value::Fixed64(bytes) => *bytes = mutator::edge(random).to_be_bytes(),
        Value::Fixed32(bytes) => bytes[random.below(4)] ^= random.byte(),
        Value::Bytes(bytes) => {
            let other = if let Some(Value::Bytes(other)) = donor { other } else { Vec::new() };
            *bytes = mutator::blind(random, std::mem::take(bytes), &other);
        }
        Value::Message(fields) => {
            let donor = if let Some(Value::Message(donor)) = donor { donor } else { Vec::new() };
            change(random, fields, &donor);
        }
    }
}

fn read(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let number = key >> 3;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed64(take(&mut bytes, 8)?.try_into().ok()?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let inner = take(&mut bytes, length)?;
                match depth.checked_sub(1).and_then(|depth| read(inner, depth)) {
                    Some(fields) if !fields.is_empty() => Value::Message(fields),
                    _ => Value::Bytes(inner.to_vec()),
                }
            }
            5 => Value::Fixed32(take(&mut bytes, 4)?.try_into().ok()?),
            _ => return None,
        };
        if number == 0 {
            return None;
        }
        fields.push(Field { number, value });
    }
    Some(fields)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn write(fields: &[Field], bytes: &mut Vec<u8>) {
    for field in fields {
        let key = |kind: u64| field.number << 3 | kind;
        match &field.value {
            Value::Varint(number) => {
                write_varint(key(0), bytes);
                write_varint(*number, bytes);
            }
            Value::Fixed64(value) => {
                write_varint(key(1), bytes);
                bytes.extend(value);
            }
            Value::Fixed32(value) => {
                write_varint(key(5), bytes);
                bytes.extend(value);
            }
            Value::Bytes(value) => write_framed(key(2), value, bytes),
            Value::Message(fields) => {
                let mut inner = Vec::new();
                write(fields, &mut inner);
                write_framed(key(2), &inner, bytes);
            }
        }
    }
}

fn write_framed(key: u64, value: &[u8], bytes: &mut Vec<u8>) {
    write_varint(key, bytes);
    write_varint(u64::try_from(value.len()).unwrap_or(u64::MAX), bytes);
    bytes.extend(value);
}

fn write_varint(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

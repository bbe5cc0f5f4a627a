//! Receipts as fields of fields, so that each can be changed in every way that a byte string can,
//! and the bytes put together again.

/// One field as it stands in the bytes.
#[derive(Clone)]
pub struct Field {
    number: u64,
    value: Value,
}

impl Field {
    pub fn number(&self) -> u64 {
        self.number
    }
}

#[derive(Clone)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
    /// Written as it is, in place of tag and value.
    Raw(Vec<u8>),
}

/// The fields of a receipt that are messages, or that hold the bytes of one.
const RECEIPT: &[&[u64]] = &[
    &[1],
    &[1, 16],
    &[1, 17],
    &[1, 18],
    &[1, 19],
    &[1, 22],
    &[1, 23],
    &[1, 23, 1],
    &[1, 23, 1, 14],
    &[1, 24],
    &[2],
    &[12],
    &[12, 2],
    &[13],
];

/// Those of an epoch chain.
const EPOCHS: &[&[u64]] = &[&[1], &[1, 1], &[1, 1, 2], &[1, 2], &[1, 2, 2], &[1, 3]];

/// Those of a genesis file.
const GENESIS: &[&[u64]] = &[&[5], &[5, 4], &[6], &[7], &[8]];

pub fn receipt(bytes: &[u8]) -> Vec<Field> {
    parse(bytes, &mut Vec::new(), RECEIPT)
}

pub fn epochs(bytes: &[u8]) -> Vec<Field> {
    parse(bytes, &mut Vec::new(), EPOCHS)
}

pub fn genesis(bytes: &[u8]) -> Vec<Field> {
    parse(bytes, &mut Vec::new(), GENESIS)
}

fn parse(mut bytes: &[u8], path: &mut Vec<u64>, messages: &[&[u64]]) -> Vec<Field> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = take_varint(&mut bytes);
        let value = take_varint(&mut bytes);
        path.push(tag >> 3);
        let value = if tag & 7 == 0 {
            Value::Number(value)
        } else {
            let (inner, rest) = bytes.split_at(usize::try_from(value).unwrap());
            bytes = rest;
            if messages.contains(&&path[..]) {
                Value::Message(parse(inner, path, messages))
            } else {
                Value::Bytes(inner.to_vec())
            }
        };
        path.pop();
        fields.push(Field { number: tag >> 3, value });
    }
    fields
}

fn take_varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
}

/// A varint with a byte more than it needs.
fn put_padded(bytes: &mut Vec<u8>, value: u64) {
    put_varint(bytes, value);
    *bytes.last_mut().unwrap() |= 0x80;
    bytes.push(0);
}

pub fn encode(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        match &field.value {
            Value::Raw(raw) => bytes.extend(raw),
            Value::Number(number) => {
                put_varint(&mut bytes, field.number << 3);
                put_varint(&mut bytes, *number);
            }
            Value::Bytes(inner) => put_bytes(&mut bytes, field.number, inner),
            Value::Message(inner) => put_bytes(&mut bytes, field.number, &encode(inner)),
        }
    }
    bytes
}

fn put_bytes(bytes: &mut Vec<u8>, number: u64, inner: &[u8]) {
    put_varint(bytes, number << 3 | 2);
    put_varint(bytes, inner.len() as u64);
    bytes.extend(inner);
}

/// Every field, one after the other, dropped, doubled, swapped with the next, and changed in every
/// way that its type has.
pub fn corruptions(fields: &[Field]) -> Vec<Vec<u8>> {
    let mut places = Vec::new();
    find_places(fields, &mut Vec::new(), &mut places);
    let mut found = Vec::new();
    for place in &places {
        let (at, lists) = place.split_last().unwrap();
        for changed in changes(list_at(fields, lists), *at) {
            let mut all = fields.to_vec();
            *list_at_mut(&mut all, lists) = changed;
            found.push(encode(&all));
        }
    }
    let whole = encode(fields);
    found.extend(
        [&[0][..], &[0x72, 0], &[0x7a, 0], &[0x0a, 0], &whole].map(|more| [&whole, more].concat()),
    );
    found.extend((1..16).map(|part| whole[..whole.len() * part / 16].to_vec()));
    let original = encode(fields);
    found.retain(|bytes| *bytes != original);
    found
}

/// The fields of one receipt, each in turn from another.
pub fn mixtures(fields: &[Field], others: &[Field]) -> Vec<Vec<u8>> {
    let mix = |number: u64| {
        let before = fields.iter().filter(|field| field.number < number);
        let other = others.iter().filter(|field| field.number == number);
        let behind = fields.iter().filter(|field| field.number > number);
        encode(&before.chain(other).chain(behind).cloned().collect::<Vec<_>>())
    };
    (1..=14).map(mix).collect()
}

fn find_places(fields: &[Field], path: &mut Vec<usize>, places: &mut Vec<Vec<usize>>) {
    for (index, field) in fields.iter().enumerate() {
        path.push(index);
        places.push(path.clone());
        if let Value::Message(inner) = &field.value {
            find_places(inner, path, places);
        }
        path.pop();
    }
}

fn list_at<'a>(fields: &'a [Field], path: &[usize]) -> &'a [Field] {
    path.iter().fold(fields, |fields, index| match &fields[*index].value {
        Value::Message(inner) => inner,
        _ => unreachable!("places lead through messages"),
    })
}

fn list_at_mut<'a>(fields: &'a mut Vec<Field>, path: &[usize]) -> &'a mut Vec<Field> {
    path.iter().fold(fields, |fields, index| match &mut fields[*index].value {
        Value::Message(inner) => inner,
        _ => unreachable!("places lead through messages"),
    })
}

/// The lists that come of changing one field of one.
fn changes(list: &[Field], at: usize) -> Vec<Vec<Field>> {
    let with = |change: &dyn Fn(&mut Vec<Field>)| {
        let mut list = list.to_vec();
        change(&mut list);
        list
    };
    let mut found =
        vec![with(&|list| drop(list.remove(at))), with(&|list| list.insert(at, list[at].clone()))];
    if at + 1 < list.len() {
        found.push(with(&|list| list.swap(at, at + 1)));
    }
    for value in values(&list[at]) {
        found.push(with(&|list| list[at].value = value.clone()));
    }
    found
}

/// What a field's value can be changed to.
fn values(field: &Field) -> Vec<Value> {
    let tag = field.number << 3;
    let raw = |put: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        put(&mut bytes);
        Value::Raw(bytes)
    };
    let inner = match &field.value {
        Value::Raw(_) => return Vec::new(),
        Value::Number(number) => {
            let numbers = [0, 1, number.wrapping_add(1), number.wrapping_sub(1), u64::MAX];
            let numbers = numbers.into_iter().chain([
                1 << 31,
                u64::from(u32::MAX),
                number.wrapping_add(1 << 32),
            ]);
            let mut found: Vec<Value> = numbers.map(Value::Number).collect();
            found.push(Value::Bytes(vec![1]));
            found.push(raw(&|bytes| {
                put_varint(bytes, tag);
                put_padded(bytes, *number);
            }));
            found.push(raw(&|bytes| {
                put_padded(bytes, tag);
                put_varint(bytes, *number);
            }));
            found.push(raw(&|bytes| {
                put_varint(bytes, tag | 5);
                bytes.extend([1, 0, 0, 0]);
            }));
            return found;
        }
        Value::Bytes(inner) => inner.clone(),
        Value::Message(fields) => encode(fields),
    };
    let mut found = vec![
        Value::Bytes(Vec::new()),
        Value::Bytes([&inner[..], &[0]].concat()),
        Value::Bytes([&[0], &inner[..]].concat()),
        Value::Number(7),
        raw(&|bytes| {
            put_varint(bytes, tag | 2);
            put_padded(bytes, inner.len() as u64);
            bytes.extend(&inner);
        }),
        raw(&|bytes| {
            put_varint(bytes, tag | 2);
            put_varint(bytes, inner.len() as u64 + 1);
            bytes.extend(&inner);
        }),
        raw(&|bytes| {
            put_padded(bytes, tag | 2);
            put_varint(bytes, inner.len() as u64);
            bytes.extend(&inner);
        }),
        raw(&|bytes| {
            put_varint(bytes, tag | 2);
            bytes.extend([0xff; 9]);
            bytes.push(1);
        }),
    ];
    if let Some(last) = inner.len().checked_sub(1) {
        found.push(Value::Bytes(inner[..last].to_vec()));
        found.push(Value::Bytes(inner[1..].to_vec()));
        found.push(Value::Bytes(vec![0; inner.len()]));
        for place in [0, last / 3, last / 2, last] {
            let mut flipped = inner.clone();
            flipped[place] ^= 1 << (place % 8);
            found.push(Value::Bytes(flipped));
        }
    }
    found
}

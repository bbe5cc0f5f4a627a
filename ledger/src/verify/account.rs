//! Accounts: the balance at two heights and every posting between them.

use counterfoil_proto::v1;

use super::{Finality, Trust, Unproven, finality, on_path, require, unproven};
use crate::{
    account::AccountId,
    asset::AssetCode,
    bic::Bic,
    block::Side,
    date::Date,
    hash::Hash,
    header::{Header, Reader},
    instruction::AMOUNT_MAX,
    merkle, text,
};

/// An account proof that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedAccount {
    /// See [`AccountId`].
    pub id: AccountId,
    /// Who keeps it.
    pub servicer: Bic,
    /// Whose money it is.
    pub owner: Bic,
    /// In what.
    pub asset: AssetCode,
    /// As opened.
    pub name: String,
    /// Number among the ledger's accounts.
    pub ordinal: u32,
    /// After the block at `from_height`.
    pub opening: Standing,
    /// After the block at `to_height`.
    pub closing: Standing,
    /// Every posting after the first of these heights up to the second, in ledger order.
    pub postings: Vec<VerifiedPosting>,
    /// The header that carries the account.
    pub header: Header,
    /// How certain that is.
    pub finality: Finality,
}

/// An account after one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Height of the block.
    pub height: u64,
    /// Minor units; positive: the servicer owes the owner.
    pub balance: i128,
    /// Postings so far.
    pub posting_count: u64,
}

/// A posting that is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedPosting {
    /// Height of its block.
    pub height: u64,
    /// Ledger-wide number.
    pub number: u64,
    /// Which side.
    pub side: Side,
    /// Minor units.
    pub amount: u64,
    /// Settlement date.
    pub date: Date,
    /// Hash of the transfer's leaf in that block.
    pub leaf_hash: Hash,
}

/// A leaf under `accounts_root`, 76 bytes.
struct Leaf {
    ordinal: u32,
    id: [u8; 16],
    balance: i128,
    posting_count: u64,
    head: Hash,
}

/// Checks an account proof.
pub fn account(trust: &Trust, proof: &v1::AccountProof) -> Result<VerifiedAccount, Unproven> {
    let named = proof.account.as_ref().ok_or(unproven("account", "it is missing"))?;
    let (servicer, owner, asset) =
        names(named).ok_or(unproven("account", "its four names are not an account's"))?;
    let id = AccountId::of(&servicer, &owner, asset.as_str(), &named.name);
    let leaf = leaf(&proof.leaf).ok_or(unproven("leaf", "it has 76 bytes"))?;
    require(leaf.id == *id.as_bytes(), "leaf", "it is another account's")?;

    let header = super::header("header", &proof.header, &trust.chain_id())?;
    let root = header.accounts_root.ok_or(unproven("header", "it carries no accounts_root"))?;
    let place = (u64::from(leaf.ordinal), u64::from(header.account_count));
    on_path("leaf_path", merkle::leaf_hash(&proof.leaf), place, &proof.leaf_path, &root)?;

    let (from, to) = (proof.from_height, proof.to_height);
    let ordered = from <= to && to <= header.height;
    require(ordered, "to_height", "from_height, to_height and the header's do not ascend")?;
    let postings = postings(proof, &header, &leaf.head)?;
    let balances = balances(&leaf, &postings, from, to)
        .ok_or(unproven("leaf", "its balance or posting count is not what the postings lead to"))?;
    let (opening, closing) = balances;
    let fresh = opening.posting_count == 0;
    require(fresh == proof.opening.is_empty(), "opening", "it is there from the first posting on")?;
    require(!fresh || opening.balance == 0, "leaf", "an account begins with nothing")?;
    let certificate = proof.certificate.as_ref();
    let finality = finality(trust, &header, &proof.history_path, certificate)?;
    Ok(VerifiedAccount {
        id,
        servicer,
        owner,
        asset,
        name: named.name.clone(),
        ordinal: leaf.ordinal,
        opening,
        closing,
        postings: postings.into_iter().take_while(|it| it.height <= to).collect(),
        header,
        finality,
    })
}

fn names(named: &v1::OpenAccount) -> Option<(Bic, Bic, AssetCode)> {
    let bic = |text: &str| Bic::parse_canonical(text).ok();
    let holds = !named.name.is_empty() && text::is_max35(&named.name);
    let names = (bic(&named.servicer)?, bic(&named.owner)?, AssetCode::parse(&named.asset).ok()?);
    holds.then_some(names)
}

fn leaf(bytes: &[u8]) -> Option<Leaf> {
    let mut reader = Reader(bytes);
    let leaf = Leaf {
        ordinal: u32::from_be_bytes(reader.take()?),
        id: reader.take()?,
        balance: i128::from_be_bytes(reader.take()?),
        posting_count: u64::from_be_bytes(reader.take()?),
        head: Hash(reader.take()?),
    };
    reader.0.is_empty().then_some(leaf)
}

/// Every posting of the proof, if they lead from the opening head to the leaf's.
fn postings(
    proof: &v1::AccountProof,
    header: &Header,
    last: &Hash,
) -> Result<Vec<VerifiedPosting>, Unproven> {
    let mut head = opening(&proof.opening, proof.from_height)?;
    let mut height = proof.from_height;
    let mut postings: Vec<VerifiedPosting> = Vec::new();
    for block in &proof.blocks {
        let later = height < block.height && block.height <= header.height;
        require(later, "blocks", "heights ascend, above from_height and up to the header's")?;
        require(!block.postings.is_empty(), "blocks", "one has no postings")?;
        height = block.height;
        for bytes in &block.postings {
            let posting =
                posting(height, bytes).ok_or(unproven("blocks", "a posting is malformed"))?;
            let ascends = postings.last().is_none_or(|last| last.number < posting.number);
            require(ascends, "blocks", "the numbers of the postings do not ascend")?;
            postings.push(posting);
        }
        let root = merkle::root_of(block.postings.iter().map(|it| merkle::leaf_hash(it)));
        head = Hash::of_parts(&[head.as_bytes(), &height.to_be_bytes(), root.as_bytes()]);
    }
    require(head == *last, "blocks", "the postings do not lead to the account's head")?;
    Ok(postings)
}

/// The head at `from_height`.
fn opening(bytes: &[u8], from_height: u64) -> Result<Hash, Unproven> {
    if bytes.is_empty() {
        return Ok(Hash::ZERO);
    }
    require(bytes.len() == 72, "opening", "it has 72 bytes, or none")?;
    let mut reader = Reader(&bytes[32..]);
    let height = reader.take().map(u64::from_be_bytes);
    let before = height.is_some_and(|height| height <= from_height);
    require(before, "opening", "its height is above from_height")?;
    Ok(Hash::of(bytes))
}

fn posting(height: u64, bytes: &[u8]) -> Option<VerifiedPosting> {
    let mut reader = Reader(bytes);
    let number = u64::from_be_bytes(reader.take()?);
    let [side] = reader.take()?;
    let amount = u64::from_be_bytes(reader.take()?);
    let date = u32::from_be_bytes(reader.take()?);
    let posting = VerifiedPosting {
        height,
        number,
        side: Side::from_number(side)?,
        amount: (1..=AMOUNT_MAX).contains(&amount).then_some(amount)?,
        date: Date::from_yyyymmdd(date).ok()?,
        leaf_hash: Hash(reader.take()?),
    };
    reader.0.is_empty().then_some(posting)
}

/// Counts back from the leaf to `from`, and forward again to `to`.
fn balances(
    leaf: &Leaf,
    postings: &[VerifiedPosting],
    from: u64,
    to: u64,
) -> Option<(Standing, Standing)> {
    let mut opening = Standing {
        height: from,
        balance: leaf.balance,
        posting_count: leaf.posting_count.checked_sub(u64::try_from(postings.len()).ok()?)?,
    };
    for posting in postings {
        let amount = posting.side.signed(posting.amount);
        opening.balance = opening.balance.checked_sub(amount)?;
    }
    let mut closing = Standing { height: to, ..opening };
    for posting in postings.iter().take_while(|it| it.height <= to) {
        let amount = posting.side.signed(posting.amount);
        closing.balance = closing.balance.checked_add(amount)?;
        closing.posting_count = closing.posting_count.checked_add(1)?;
    }
    Some((opening, closing))
}

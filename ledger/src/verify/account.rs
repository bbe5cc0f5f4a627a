//! Accounts: the balance at two heights and every posting between them.

use counterfoil_proto::v1;

use super::{Finality, Trust, Unproven, finality, on_path, require, unproven};
use crate::{
    account::{AccountId, AccountLeaf},
    asset::AssetCode,
    bic::Bic,
    block::{HeadRecord, Posting},
    hash::Hash,
    header::Header,
    instruction::OpenAccount,
    merkle,
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
    /// What was posted.
    pub posting: Posting,
}

/// Checks an account proof.
pub fn account(trust: &Trust, proof: &v1::AccountProof) -> Result<VerifiedAccount, Unproven> {
    let named = proof.account.as_ref().ok_or(unproven("account", "it is missing"))?;
    let OpenAccount { servicer, owner, asset, name } = OpenAccount::of(named.clone())
        .map_err(|_| unproven("account", "its four names are not an account's"))?;
    let id = AccountId::of(&servicer, &owner, asset.as_str(), &name);
    let leaf = AccountLeaf::decode(&proof.leaf).ok_or(unproven("leaf", "it has 76 bytes"))?;
    require(leaf.id == id, "leaf", "it is another account's")?;

    let header = super::header("header", &proof.header, &trust.chain_id())?;
    let root = header.accounts_root.ok_or(unproven("header", "it carries no accounts_root"))?;
    let place = (u64::from(leaf.ordinal), u64::from(header.account_count));
    on_path("leaf_path", merkle::leaf_hash(&proof.leaf), place, &proof.leaf_path, &root)?;

    let (from, to) = (proof.from_height, proof.to_height);
    let ordered = from <= to && to <= header.height;
    require(ordered, "to_height", "from_height, to_height and the header's do not ascend")?;
    let postings = postings(proof, &header, &leaf.head)?;
    let (opening, closing) = standings(&leaf, &postings, from, to)
        .ok_or(unproven("leaf", "its balance or posting count is not what the postings lead to"))?;
    let fresh = opening.posting_count == 0;
    require(fresh == proof.opening.is_empty(), "opening", "it is there from the first posting on")?;
    require(!fresh || opening.balance == 0, "leaf", "an account begins with nothing")?;
    let finality = finality(trust, &header, &proof.history_path, &proof.certificate)?;
    Ok(VerifiedAccount {
        id,
        servicer,
        owner,
        asset,
        name,
        ordinal: leaf.ordinal,
        opening,
        closing,
        postings: postings.into_iter().take_while(|it| it.height <= to).collect(),
        header,
        finality,
    })
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
                Posting::decode(bytes).ok_or(unproven("blocks", "a posting is malformed"))?;
            let ascends = postings.last().is_none_or(|last| last.posting.number < posting.number);
            require(ascends, "blocks", "the numbers of the postings do not ascend")?;
            postings.push(VerifiedPosting { height, posting });
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
    let height = HeadRecord::preimage_height(bytes)
        .ok_or(unproven("opening", "it has 72 bytes, or none"))?;
    require(height <= from_height, "opening", "its height is above from_height")?;
    Ok(Hash::of(bytes))
}

/// Counts back from the leaf to `from`, and forward again to `to`.
fn standings(
    leaf: &AccountLeaf,
    postings: &[VerifiedPosting],
    from: u64,
    to: u64,
) -> Option<(Standing, Standing)> {
    let moved = |until: u64| {
        let mut part = postings.iter().take_while(|it| it.height <= until);
        part.try_fold((0i128, 0u64), |(sum, count), it| {
            Some((sum.checked_add(it.posting.side.signed(it.posting.amount))?, count + 1))
        })
    };
    let ((all, count), (until_to, count_to)) = (moved(u64::MAX)?, moved(to)?);
    let (balance, posting_count) =
        (leaf.balance.checked_sub(all)?, leaf.posting_count.checked_sub(count)?);
    let opening = Standing { height: from, balance, posting_count };
    let balance = balance.checked_add(until_to)?;
    Some((opening, Standing { height: to, balance, posting_count: posting_count + count_to }))
}

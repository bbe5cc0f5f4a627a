//! What the parties transfer to end a break.

use super::*;

/// A posting of 900 against an entry of 1,000, whose break the parties have ended.
fn agreed() -> Scene {
    let mut scene = Scene::of(LEDGER_OWNER);
    scene.post(1, 900);
    scene.book(Source::OwnerBook, 1, 1_000);
    scene.state(Source::OwnerBook, 0, -1_000);
    assert_eq!(scene.open_breaks(), [(1, Category::Amount)]);
    let resolution = Resolution {
        kind: ResolutionKind::CorrectingTransfer,
        transfer: Some((100, scene.account.id, scene.account.id)),
        commitment: Hash::ZERO,
    };
    let hand = Hand { party: Party::Servicer, key_id: Hash::ZERO };
    let step = |work: &mut Work| {
        work.propose(hand, resolution.clone())?;
        work.agree(Agreed::IfSettled);
        Ok(())
    };
    let step =
        scene.act(|all, governed, now| all.work(governed, (1, Party::Owner, &[6; 16]), now, step));
    assert_eq!(kinds(&read(&step.unwrap())), [Kind::BreakWorked]);
    scene
}

#[test]
fn what_corrects_a_break_belongs_to_it() {
    let mut scene = agreed();
    let posted = scene.post_for(2, 100, date(23), Some(1));
    assert_eq!(kinds(&posted), [Kind::BreakWorked]);
    assert_eq!((posted[0].number, &posted[0].items), (1, &[vec![2], vec![]]));
    assert_eq!(scene.open_breaks(), []);
    let found = scene.sheet().finding(Class::Break, 1).unwrap();
    assert_eq!(found.items, [vec![1, 2], vec![1]]);
    // It waits for nothing.
    assert_eq!(scene.all.due_ms(), None);
    let view = scene.view(Source::OwnerBook, 0);
    scene.sign(Party::Owner, view).unwrap();
    let view = scene.view(Source::Ledger, 0);
    let agreed = scene.sign(Party::Servicer, view).unwrap();
    assert_eq!(kinds(&agreed), [Kind::PositionSigned, Kind::PositionAgreed]);
}

#[test]
fn a_correction_that_the_book_has_is_matched_with_its_entry() {
    let mut scene = agreed();
    scene.book(Source::OwnerBook, 2, 100);
    let posted = scene.post_for(2, 100, date(23), Some(1));
    assert_eq!(kinds(&posted), [Kind::BreakHealed, Kind::Matched]);
    let found = scene.sheet().finding(Class::Break, 1).unwrap();
    assert_eq!(found.items, [vec![1], vec![1]]);
}

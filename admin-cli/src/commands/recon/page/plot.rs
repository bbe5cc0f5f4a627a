//! Plots: breaks by category and age, and what has become of the items.

use counterfoil_client::reconciliation::Report;

use super::html::{Html, grouped};
use crate::commands::recon::breaks::{Ageing, BUCKETS};
use crate::commands::recon::words::category;

/// Units of the drawing.
const WIDTH: u64 = 900;
const NAMES_WIDTH: u64 = 190;
const BARS_WIDTH: u64 = 620;
const ROW_HEIGHT: u64 = 30;
const BAR_HEIGHT: u64 = 18;

/// Classes of ages, the youngest first.
const AGES: [&str; BUCKETS.len()] = ["a0", "a1", "a2", "a3", "a4", "a5"];

/// What the ages are called.
const AGE_NAMES: [&str; BUCKETS.len()] =
    ["same day", "1 day", "2 to 3", "4 to 7", "8 to 30", "over 30 business days"];

/// A bar for each category, its parts by age, with the counts behind it.
pub fn ages(html: &mut Html, ageing: &Ageing) {
    let rows: Vec<_> = ageing.rows().collect();
    let largest = rows.iter().map(|(_, cells)| Ageing::sum(*cells).count).max().unwrap_or(0);
    legend(html, &AGES, &AGE_NAMES);
    let height = ROW_HEIGHT * u64::try_from(rows.len()).unwrap_or(0) + 6;
    begin(html, height, "Open breaks by category and age");
    for ((name, cells), row) in rows.iter().zip(0..) {
        let top = row * ROW_HEIGHT;
        label(html, NAMES_WIDTH - 12, top, "end", &category(*name));
        let mut done = 0;
        for (cell, class) in cells.iter().zip(AGES) {
            bar(html, class, top, (done, cell.count), largest);
            done += cell.count;
        }
        label(html, NAMES_WIDTH + scaled(done, largest) + 8, top, "start", &done.to_string());
    }
    html.raw("<line class=\"axis\" x1=\"").number(NAMES_WIDTH).raw("\" x2=\"").number(NAMES_WIDTH);
    html.raw("\" y1=\"0\" y2=\"").number(height).raw("\"/></svg>");
}

/// One bar of all items of a report: matched, proposed, waiting, in breaks.
pub fn shares(html: &mut Html, report: &Report) {
    let matched = report.matched_count();
    let (proposed, waiting) = (report.proposed_count(), report.waiting_count());
    let all = report.item_count();
    let broken = all.saturating_sub(matched).saturating_sub(proposed).saturating_sub(waiting);
    let parts = [("m", matched), ("p", proposed), ("w", waiting), ("b", broken)];
    let names = ["matched", "proposed", "waiting", "in breaks"];
    html.raw("<ul class=\"legend\">");
    for ((class, count), name) in parts.iter().zip(names) {
        html.raw("<li><i class=\"").raw(class).raw("\"></i>").raw(name).raw(" ");
        html.text(&grouped(&count.to_string()));
        html.raw("</li>");
    }
    html.raw("</ul>");
    begin(html, BAR_HEIGHT, "What has become of the items");
    let mut done: u64 = 0;
    for (class, count) in parts {
        let (left, right) = (share(done, all), share(done.saturating_add(count), all));
        rectangle(html, class, (left, right), 0);
        done = done.saturating_add(count);
    }
    html.raw("</svg>");
}

fn legend(html: &mut Html, classes: &[&'static str], names: &[&'static str]) {
    html.raw("<ul class=\"legend\">");
    for (class, name) in classes.iter().zip(names) {
        html.raw("<li><i class=\"").raw(class).raw("\"></i>").raw(name).raw("</li>");
    }
    html.raw("</ul>");
}

fn begin(html: &mut Html, height: u64, name: &'static str) {
    html.raw("<svg viewBox=\"0 0 ").number(WIDTH).raw(" ").number(height);
    html.raw("\" role=\"img\" aria-label=\"").raw(name).raw("\">");
}

fn label(html: &mut Html, x: u64, top: u64, anchor: &'static str, text: &str) {
    html.raw("<text x=\"").number(x).raw("\" y=\"").number(top + BAR_HEIGHT);
    html.raw("\" text-anchor=\"").raw(anchor).raw("\">").text(text).raw("</text>");
}

/// A part of a category's bar: from so many breaks on, so many long.
fn bar(html: &mut Html, class: &'static str, top: u64, (from, count): (u64, u64), largest: u64) {
    let left = NAMES_WIDTH + scaled(from, largest);
    let right = NAMES_WIDTH + scaled(from.saturating_add(count), largest);
    rectangle(html, class, (left, right), top + 4);
}

/// With a gap to the next one, where there is room for it.
fn rectangle(html: &mut Html, class: &'static str, (left, right): (u64, u64), top: u64) {
    let width = right.saturating_sub(left);
    if width == 0 {
        return;
    }
    html.raw("<rect class=\"").raw(class).raw("\" x=\"").number(left).raw("\" y=\"").number(top);
    html.raw("\" width=\"").number(if width > 3 { width - 1 } else { width });
    html.raw("\" height=\"").number(BAR_HEIGHT).raw("\"/>");
}

/// Where a count ends if the largest fills the room.
fn scaled(count: u64, largest: u64) -> u64 {
    part(count, largest, BARS_WIDTH)
}

fn share(count: u64, all: u64) -> u64 {
    part(count, all, WIDTH)
}

fn part(count: u64, of: u64, width: u64) -> u64 {
    let part = u128::from(count) * u128::from(width);
    part.checked_div(u128::from(of)).and_then(|it| u64::try_from(it).ok()).unwrap_or(0).min(width)
}

#[cfg(test)]
mod tests {
    use counterfoil_proto::v1;

    use super::*;

    #[test]
    fn bars_fill_the_room_and_no_more() {
        assert_eq!((part(0, 5, 620), part(5, 5, 620), part(9, 5, 620)), (0, 620, 620));
        assert_eq!((part(u64::MAX, u64::MAX, 620), part(1, 0, 620)), (620, 0));
    }

    #[test]
    fn every_category_has_a_bar_with_its_count() {
        let broken = |category: v1::BreakCategory, age_days| v1::Break {
            category: category.into(),
            age_days,
            ..v1::Break::default()
        };
        let breaks = [
            broken(v1::BreakCategory::Amount, 0),
            broken(v1::BreakCategory::Amount, 40),
            broken(v1::BreakCategory::Currency, 5),
        ];
        let mut html = Html::default();
        ages(&mut html, &Ageing::of(&breaks, "CHF"));
        let text = html.finish();
        assert_eq!(text.matches("<rect").count(), 3, "{text}");
        assert!(text.contains(">amount</text>") && text.contains(">2</text>"), "{text}");
        assert!(text.contains("class=\"a5\" x=\"500\""), "{text}");
    }
}

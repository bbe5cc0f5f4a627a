//! The tables of the page.

use counterfoil_client::reconciliation::Report;
use counterfoil_proto::v1;

use super::html::Html;
use super::plot;
use crate::commands::account::date;
use crate::commands::recon::account::Reconciled;
use crate::commands::recon::breaks::{Ageing, BUCKETS, at_stake, what};
use crate::commands::recon::item;
use crate::commands::recon::position::day_row;
use crate::commands::recon::report::figures;
use crate::commands::recon::words::{both, category, party, state};

/// Most breaks that a page lists: beyond this a list is for programs.
const BREAKS_MAX: usize = 1_000;

/// Most days that a page lists, the last ones.
const DAYS_MAX: usize = 400;

/// Two sources: what has become of their items, their figures, and what the difference is made of.
pub fn comparison(html: &mut Html, of: &Reconciled, report: &Report) {
    let [first, second] = both(report.comparison);
    html.raw("<section><h2>").text(&capital(first)).raw(" and ").text(second).raw("</h2>");
    plot::shares(html, report);
    html.raw("<div class=\"two\"><table><thead><tr><th></th><th class=\"n\">").text(first);
    html.raw("</th><th class=\"n\">").text(second).raw("</th></tr></thead><tbody>");
    for [name, first, second] in figures::side_rows(of, report) {
        html.raw("<tr>").cell(&name).figure(&first).figure(&second).raw("</tr>");
    }
    html.raw("</tbody></table><table><thead><tr><th>the difference</th><th class=\"n\">count</th>");
    html.raw("<th class=\"n\">amount</th></tr></thead><tbody>");
    for line in figures::lines(report) {
        html.raw(if line.part { "<tr class=\"part\">" } else { "<tr class=\"sum\">" });
        let count = line.count.map(|count| count.to_string()).unwrap_or_default();
        html.cell(&line.name).figure(&count).figure(&of.figure(line.units)).raw("</tr>");
    }
    html.raw("</tbody></table></div></section>");
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// Breaks by category and age: the plot's figures, with amounts.
pub fn ages(html: &mut Html, of: &Reconciled, ageing: &Ageing) {
    html.raw("<table><thead><tr><th>category</th>");
    for (age, _) in BUCKETS {
        html.raw("<th class=\"n\">").text(age).raw("</th>");
    }
    html.raw("<th class=\"n\">all</th><th class=\"n\">amount</th></tr></thead><tbody>");
    for (name, cells) in ageing.rows() {
        html.raw("<tr>").cell(&category(name));
        for cell in cells {
            let count = if cell.count == 0 { String::new() } else { cell.count.to_string() };
            html.figure(&count);
        }
        let sum = Ageing::sum(cells);
        html.figure(&sum.count.to_string());
        html.figure(&of.figure(i128::try_from(sum.amount).unwrap_or(i128::MAX))).raw("</tr>");
    }
    html.raw("</tbody></table><p class=\"soft\">Columns are ages in business days.</p>");
}

/// Days: the closing balance of each source, and whether both agree.
pub fn days(html: &mut Html, of: &Reconciled, days: &[v1::DayPosition]) {
    html.raw("<section><h2>Positions by day</h2>");
    if days.is_empty() {
        html.raw("<p class=\"soft\">Nothing is known of any day.</p></section>");
        return;
    }
    html.raw("<table><thead><tr><th>value date</th><th class=\"n\">ledger closes at</th>");
    html.raw("<th class=\"n\">owner closes at</th><th class=\"n\">servicer closes at</th>");
    html.raw("<th class=\"n\">open items</th><th>signed by</th><th>state</th></tr></thead><tbody>");
    let hidden = days.len().saturating_sub(DAYS_MAX);
    for day in &days[hidden..] {
        let (cells, signed, state) = day_row(of, day);
        html.raw("<tr><td class=\"d\">").text(&date(day.date)).raw("</td>");
        for cell in &cells {
            html.figure(cell);
        }
        html.figure(&day.open_item_count.to_string()).cell(&signed);
        html.raw(match (day.agreed_at.is_some(), day.break_number) {
            (true, _) => "<td class=\"good\">",
            (false, 0) => "<td class=\"wait\">",
            (false, _) => "<td class=\"bad\">",
        });
        html.text(&state).raw("</td></tr>");
    }
    html.raw("</tbody></table>");
    if hidden > 0 {
        html.raw("<p class=\"soft\">").number(u64::try_from(hidden).unwrap_or(u64::MAX));
        html.raw(" earlier days are not shown.</p>");
    }
    html.raw("</section>");
}

/// Open breaks, the oldest and largest first.
pub fn breaks(html: &mut Html, of: &Reconciled, breaks: &[v1::Break]) {
    html.raw("<section><h2>Open breaks</h2>");
    if breaks.is_empty() {
        html.raw("<p class=\"good\">There are none.</p></section>");
        return;
    }
    html.raw("<table><thead><tr><th class=\"n\">no</th><th>category</th><th>state</th>");
    html.raw("<th class=\"n\">age</th><th class=\"n\">amount</th><th class=\"n\">effect</th>");
    html.raw("<th>items</th><th>reference</th><th>answers</th><th>by</th></tr></thead><tbody>");
    let asset = of.account.asset.as_str();
    let mut sorted: Vec<&v1::Break> = breaks.iter().collect();
    sorted.sort_by_key(|one| (std::cmp::Reverse((one.age_days, at_stake(one, asset))), one.number));
    for one in sorted.iter().take(BREAKS_MAX) {
        let units = i128::try_from(at_stake(one, asset)).unwrap_or(i128::MAX);
        html.raw("<tr>").figure(&one.number.to_string()).cell(&category(one.category()));
        html.cell(state(one.state())).figure(&one.age_days.to_string());
        html.figure(&of.figure(units)).figure(&of.figure(one.effect.into()));
        for text in [what(one), item::first_reference(&one.first, &one.second)] {
            html.raw("<td class=\"w\">").text(&text).raw("</td>");
        }
        html.cell(party(one.answers()));
        html.raw("<td class=\"d\">").text(&date(one.answer_by)).raw("</td></tr>");
    }
    html.raw("</tbody></table>");
    let hidden = sorted.len().saturating_sub(BREAKS_MAX);
    if hidden > 0 {
        html.raw("<p class=\"soft\">").number(u64::try_from(hidden).unwrap_or(u64::MAX));
        html.raw(" more are not shown: counterfoil recon breaks --csv lists all.</p>");
    }
    html.raw("</section>");
}

//! The report as one page to read and print: it needs no network and no script.

mod html;
mod plot;
mod sections;

use counterfoil_client::reconciliation::Report;
use counterfoil_proto::v1;

use self::html::{Html, grouped};
use super::account::Reconciled;
use super::breaks::{Ageing, at_stake};
use super::report::range;
use super::words::{both, counted, rate};
use crate::moment;
use crate::output::hex;

const STYLE: &str = include_str!("style.css");

/// What the page is of.
pub struct Page<'a> {
    /// The account.
    pub of: &'a Reconciled,
    /// One for each two sources.
    pub reports: &'a [Report],
    /// Days, by date.
    pub days: &'a [v1::DayPosition],
    /// The open breaks.
    pub breaks: &'a [v1::Break],
    /// When it was true.
    pub as_of: &'a v1::AsOf,
}

impl Page<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let mut html = Html::default();
        html.raw("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
        // Even if a text were markup, it could load and run nothing.
        html.raw(
            "<meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        );
        html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
        html.raw("<title>Reconciliation of ").text(&self.of.title()).raw("</title><style>");
        html.raw(STYLE).raw("</style></head>\n<body><main>");
        self.heading(&mut html);
        self.tiles(&mut html);
        for report in self.reports {
            sections::comparison(&mut html, self.of, report);
        }
        self.ages(&mut html);
        sections::days(&mut html, self.of, self.days);
        sections::breaks(&mut html, self.of, self.breaks);
        self.footing(&mut html);
        html.raw("</main></body></html>\n");
        html.finish()
    }

    fn heading(&self, html: &mut Html) {
        let v1::Account { servicer, owner, asset, name, .. } = &self.of.account;
        html.raw("<h1>Reconciliation of ").text(name).raw(" ").text(asset).raw("</h1>");
        html.raw("<p class=\"soft\">Owner ").text(owner).raw(", servicer ").text(servicer);
        html.raw("; ").text(&range(self.reports)).raw("; amounts in ").text(asset);
        html.raw(".<br>As of height ").number(self.as_of.height).raw(" of the ledger, ");
        html.text(&moment::utc(self.as_of.block_time_ms)).raw(".</p>");
    }

    fn tiles(&self, html: &mut Html) {
        html.raw("<div class=\"tiles\">");
        for report in self.reports {
            let [first, second] = both(report.comparison);
            tile(html, &rate(report.match_rate()), &format!("matched: {first}, {second}"));
        }
        let open = u64::try_from(self.breaks.len()).unwrap_or(u64::MAX);
        let stake = self
            .breaks
            .iter()
            .fold(0_u128, |sum, one| sum.saturating_add(at_stake(one, &self.of.account.asset)));
        let stake = self.of.figure(i128::try_from(stake).unwrap_or(i128::MAX));
        let asset = &self.of.account.asset;
        let about = format!("open breaks, about {} {asset}", grouped(&stake));
        tile(html, &grouped(&open.to_string()), &about);
        let oldest = self.breaks.iter().map(|one| one.age_days).max();
        let oldest = oldest.map_or("-".to_owned(), |age| counted(age.into(), "day"));
        tile(html, &oldest, "oldest open break, in business days");
        let agreed = self.days.iter().filter(|day| day.agreed_at.is_some()).count();
        tile(html, &format!("{agreed} of {}", self.days.len()), "days agreed by both");
        html.raw("</div>");
    }

    fn ages(&self, html: &mut Html) {
        html.raw("<section><h2>Open breaks by category and age</h2>");
        if self.breaks.is_empty() {
            html.raw("<p class=\"good\">There are none.</p></section>");
            return;
        }
        let ageing = Ageing::of(self.breaks, &self.of.account.asset);
        plot::ages(html, &ageing);
        sections::ages(html, self.of, &ageing);
        html.raw("</section>");
    }

    fn footing(&self, html: &mut Html) {
        html.raw(
            "<p class=\"soft\">Matched items have a counterpart. Proposed ones may have: a person \
             decides. Waiting ones have time until their deadline. A break is something that is \
             wrong; its effect is what it adds to the first source&#39;s movements less the \
             second&#39;s.</p><p class=\"soft\">This page is what one node of the ledger says at \
             the block with header ",
        );
        html.raw("<span class=\"w\">").text(&hex(&self.as_of.header_hash)).raw("</span>");
        html.raw(". Made by counterfoil ").raw(env!("CARGO_PKG_VERSION")).raw(".</p>");
    }
}

fn tile(html: &mut Html, figure: &str, name: &str) {
    html.raw("<div class=\"tile\"><b>").text(figure).raw("</b><span class=\"soft\">");
    html.text(name).raw("</span></div>");
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::reconciled;
    use super::super::report::tests::report;
    use super::*;

    /// Whatever tries to be markup, in an element or in an attribute.
    const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>--></style>]]>";

    fn hostile_item() -> v1::Item {
        v1::Item {
            source: v1::Source::OwnerBook.into(),
            number: 1,
            amount: Some(v1::Money { asset: HOSTILE.to_owned(), minor_units: 5 }),
            end_to_end_id: HOSTILE.to_owned(),
            counterparty: HOSTILE.to_owned(),
            ..v1::Item::default()
        }
    }

    fn page_of(of: &Reconciled, breaks: &[v1::Break]) -> String {
        let figures = v1::DayFigures { opening_is_known: true, ..v1::DayFigures::default() };
        let source = v1::Source::Ledger.into();
        let day = v1::DayPosition {
            date: 20_261_123,
            sources: vec![v1::SourceFigures { source, figures: Some(figures) }],
            agreed_at: Some(v1::Position::default()),
            ..v1::DayPosition::default()
        };
        let reports = [report()];
        let as_of = v1::AsOf::default();
        Page { of, reports: &reports, days: &[day], breaks, as_of: &as_of }.html()
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let mut of = reconciled();
        for text in [
            &mut of.account.name,
            &mut of.account.owner,
            &mut of.account.servicer,
            &mut of.account.asset,
        ] {
            *text = HOSTILE.to_owned();
        }
        let broken = v1::Break {
            number: 1,
            category: v1::BreakCategory::StatementGap.into(),
            statement_id: HOSTILE.to_owned(),
            ..v1::Break::default()
        };
        let item = v1::Break { first: vec![hostile_item()], ..broken.clone() };
        let page = page_of(&of, &[broken, item]);
        let plain = page_of(&reconciled(), &[v1::Break::default(), v1::Break::default()]);
        for sign in ["<script", "<img", "onerror=alert(1)>", "-->", "]]>"] {
            assert!(!page.contains(sign), "{sign}");
        }
        // Every element is one that the page has without them, and as often.
        for element in ["<td", "<p", "</style>", "<section", "<tr", "<svg", "<rect", "<a"] {
            assert_eq!(page.matches(element).count(), plain.matches(element).count(), "{element}");
        }
        assert!(page.contains("&lt;script&gt;alert(1)"), "it is shown");
    }

    #[test]
    fn the_page_needs_nothing_else() {
        let page = page_of(&reconciled(), &[]);
        for sign in ["http://", "https://", "<script", "<link", "src=", "@import", "url("] {
            assert!(!page.contains(sign), "{sign}");
        }
        for text in ["71.42 %", "1 of 1", "There are none.", "difference", "2026-11-23", "AGREED"] {
            assert!(page.contains(text), "{text}");
        }
    }
}

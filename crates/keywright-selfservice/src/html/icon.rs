//! Icons as inline SVG, decoration only: what they mean is written beside them.

use maud::{Markup, PreEscaped, html};

fn icon(path: &str) -> Markup {
    html! {
        svg .icon viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75"
            stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false" {
            (PreEscaped(path))
        }
    }
}

pub(crate) fn shield() -> Markup {
    icon(r#"<path d="M12 3 5 5.8v5.4c0 4.4 2.9 8 7 9.8 4.1-1.8 7-5.4 7-9.8V5.8z"/><path d="m9 12 2.2 2.2L15.4 10"/>"#)
}

pub(crate) fn shield_off() -> Markup {
    icon(
        r#"<path d="M12 3 5 5.8v5.4c0 4.4 2.9 8 7 9.8 4.1-1.8 7-5.4 7-9.8V5.8z"/><path d="M12 8.5v4"/><path d="M12 15.6v.1"/>"#,
    )
}

pub(crate) fn phone() -> Markup {
    icon(r#"<rect x="7" y="2.8" width="10" height="18.4" rx="2.2"/><path d="M11 18h2"/>"#)
}

pub(crate) fn key() -> Markup {
    icon(r#"<circle cx="8" cy="15.5" r="4.2"/><path d="m11 12.5 8.5-8.5M16.5 7l2.5 2.5M14 9.5l1.7 1.7"/>"#)
}

pub(crate) fn screen() -> Markup {
    icon(r#"<rect x="3" y="4.5" width="18" height="12" rx="2"/><path d="M8.5 20h7M12 16.5V20"/>"#)
}

pub(crate) fn clock() -> Markup {
    icon(r#"<circle cx="12" cy="12" r="8.5"/><path d="M12 7.2V12l3.2 2"/>"#)
}

pub(crate) fn mail() -> Markup {
    icon(r#"<rect x="3" y="5.5" width="18" height="13" rx="2"/><path d="m3.8 7.3 8.2 6 8.2-6"/>"#)
}

pub(crate) fn warning() -> Markup {
    icon(r#"<path d="M12 4 2.9 19.5h18.2z"/><path d="M12 10v4.2M12 16.9v.1"/>"#)
}

pub(crate) fn check() -> Markup {
    icon(r#"<circle cx="12" cy="12" r="8.5"/><path d="m8.6 12.3 2.4 2.4 4.6-4.9"/>"#)
}

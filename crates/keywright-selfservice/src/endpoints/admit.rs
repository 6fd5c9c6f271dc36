//! The page behind a mailed link (`docs/security.md` § 6). It needs no login: the token in the link
//! is the credential.

use http::Method;
use http::request::Parts;
use keywright_wire::Reply;

use crate::answer::Failure;
use crate::context::Context;
use crate::host::{Host, LinkAdmits};
use crate::html::admit;
use crate::request::{Form, query};

pub(crate) async fn run<H: Host>(cx: &Context<H>, head: &Parts, form: &Form) -> Result<Reply, Failure> {
    let view = cx.view(head, None);
    if head.method != Method::POST {
        return Ok(view.reply(&*cx.host, admit::question(&view, &query(head, "token"))));
    }
    let admits = if form.get("admit") == "refused" { LinkAdmits::Refused } else { LinkAdmits::Here };
    let admission = cx.host.admit_by_link(form.get("token"), admits, head).await?;
    Ok(view.reply(&*cx.host, admit::answer(&view, admission.as_ref())))
}

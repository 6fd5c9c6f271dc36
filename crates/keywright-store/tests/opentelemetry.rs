//! The layer that `docs/running.md` shows, with an exporter that keeps the spans. It is the only test
//! of this file, because it installs a subscriber for the whole process.

use std::sync::{Arc, Mutex};

use futures_lite::future::block_on;
use keywright_core::AccountId;
use keywright_store::{Draft, Partition};
use keywright_testing::World;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing_subscriber::prelude::*;

/// The page with the snippet, and this file, which has to contain it.
const MANUAL: &str = include_str!("../../../docs/running.md");
const OWN: &str = include_str!("opentelemetry.rs");

#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let kept = self.0.lock();
        kept.map(|mut kept| kept.extend(batch)).map_err(|_| OTelSdkError::InternalFailure("poisoned".into()))
    }
}

fn install(provider: &SdkTracerProvider) {
    let tracer = provider.tracer("account-server");
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    let filter = tracing_subscriber::filter::Targets::new().with_target("keywright::operation", tracing::Level::DEBUG);
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.to_string())
}

#[test]
fn the_layer_of_the_manual_exports_each_operation() {
    let snippet = MANUAL.split_once("## OpenTelemetry").unwrap().1.split_once("```rust\n").unwrap().1;
    let lines: Vec<&str> = snippet.split_once("```").unwrap().0.lines().filter(|line| !line.is_empty()).collect();
    assert!(lines.len() >= 4, "{lines:?}");
    for line in lines {
        assert!(OWN.lines().any(|own| own.trim() == line), "not compiled here: {line}");
    }
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
    install(&provider);
    let account: AccountId = World::id("alice");
    block_on(async {
        let world = World::builder().accounts(["alice"]).build().await;
        let partition = Partition::account(&account);
        let step = |_: &mut Draft<'_>| Ok(());
        world.driver.named("exported").transact(&partition, &[], step).await.unwrap();
        tracing::debug_span!("of_somebody_else").in_scope(|| ());
    });
    provider.force_flush().unwrap();
    let spans = kept.0.lock().unwrap();
    assert!(spans.iter().all(|span| span.name == "operation"), "{spans:?}");
    let own = spans.iter().find(|span| attribute(span, "operation").as_deref() == Some("exported")).unwrap();
    assert_eq!(attribute(own, "outcome").as_deref(), Some("unchanged"), "{own:?}");
    assert!(attribute(own, "partition").is_some());
}

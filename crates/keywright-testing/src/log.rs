//! Captures the log.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Captures everything that this thread logs, down to the finest level and with all spans, until [`end`](Self::end).
#[derive(Debug)]
pub struct CapturedLog {
    sink: Sink,
    _guard: DefaultGuard,
}

#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl CapturedLog {
    /// Starts to capture.
    #[must_use]
    pub fn begin() -> Self {
        let sink = Sink::default();
        let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
        // A span that holds no event is shown too, with what it recorded. Fractions of seconds would
        // look like codes now and then.
        let subscriber = subscriber.with_span_events(FmtSpan::NEW | FmtSpan::CLOSE).without_time();
        let guard = tracing::subscriber::set_default(subscriber.with_writer(sink.clone()).finish());
        Self { sink, _guard: guard }
    }

    /// Stops capturing, and returns the log.
    #[must_use]
    pub fn end(self) -> String {
        let Self { sink, _guard } = self;
        drop(_guard);
        let bytes = std::mem::take(&mut *sink.0.lock().unwrap());
        String::from_utf8(bytes).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

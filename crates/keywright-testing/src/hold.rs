//! A call that waits until a test releases it.

use tokio::sync::Notify;

/// A call to a [`HookedStore`](crate::HookedStore) that is held up before it reaches the store.
#[derive(Debug, Default)]
pub struct Hold {
    reached: Notify,
    released: Notify,
}

impl Hold {
    /// Waits until the call has arrived.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets the call continue.
    pub fn release(&self) {
        self.released.notify_one();
    }

    pub(crate) async fn wait(&self) {
        self.reached.notify_one();
        self.released.notified().await;
    }
}

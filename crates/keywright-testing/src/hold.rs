//! A call that waits until a test lets it go on.

use tokio::sync::Notify;

/// A call to a [`HookedStore`](crate::HookedStore) that is held up before it reaches the store.
#[derive(Debug, Default)]
pub struct Hold {
    reached: Notify,
    released: Notify,
}

impl Hold {
    /// Waits until the call is there.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets it go on.
    pub fn release(&self) {
        self.released.notify_one();
    }

    pub(crate) async fn wait(&self) {
        self.reached.notify_one();
        self.released.notified().await;
    }
}

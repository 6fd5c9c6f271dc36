//! A service that expects whole paths, in a nested router of axum.
#![forbid(unsafe_code)]

use axum::Router;
use axum::extract::Request;
use http::StatusCode;
use keywright_testing::tower::call;
use keywright_tower::PrefixLayer;

/// As a protocol does, it knows whole paths only.
async fn whole(request: Request) -> String {
    request.uri().to_string()
}

#[tokio::test]
async fn the_layer_around_a_nested_fallback_puts_the_path_back() {
    let nested = Router::new().fallback(whole).layer(PrefixLayer::new("/api/v1"));
    let router = Router::new().nest("/api/v1", nested);
    for path in ["/api/v1/login", "/api/v1/a/b?c=d"] {
        let request = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        let answer = call(&mut router.clone(), request).await;
        assert_eq!(answer.body().as_ref(), path.as_bytes());
    }
    let request = http::Request::get("/api/v2/login").body(axum::body::Body::empty()).unwrap();
    assert_eq!(call(&mut router.clone(), request).await.status(), StatusCode::NOT_FOUND);
}

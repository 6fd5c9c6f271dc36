//! The protocol in the routes of actix-web, whose types are those of an earlier `http`: a handler copies
//! the request and the answer.

use std::error::Error;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, PayloadConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, error::ErrorBadRequest, error::ErrorInternalServerError};
use keywright::nextcloud::Nextcloud;
use shop_nextcloud::{OneUser, PASSWORDS, open};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let passwords = open().await?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::new(passwords.clone()))
            .app_data(PayloadConfig::new(passwords.max_body()))
            // A scope does not change the path.
            .service(web::scope(PASSWORDS).default_service(web::to(handle)))
            .service(web::scope("/apps/passwords").default_service(web::to(handle)))
    });
    let server = server.bind(shop::listen_address())?;
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    Ok(server.run().await?)
}

async fn handle(
    passwords: Data<Nextcloud<OneUser>>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, actix_web::Error> {
    let mut copy = http::Request::builder().method(request.method().as_str()).uri(request.uri().to_string());
    for (name, value) in request.headers() {
        copy = copy.header(name.as_str(), value.as_bytes());
    }
    if let Some(address) = request.peer_addr() {
        copy = copy.extension(address);
    }
    let answer = passwords.handle(copy.body(body).map_err(ErrorBadRequest)?).await;
    let status = StatusCode::from_u16(answer.status().as_u16()).map_err(ErrorInternalServerError)?;
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers() {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    Ok(response.body(answer.into_body()))
}

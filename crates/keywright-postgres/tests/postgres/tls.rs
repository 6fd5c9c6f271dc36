//! Encrypted connections: what is asked for is what there is, or there is no store.

use keywright_postgres::{FaultKind, PostgresStore};
use keywright_testing::postgres::Cluster;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::world::{account, commit, open_fault};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn the_server_is_verified() {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let cluster = Cluster::new();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (right, wrong) = (file("right.pem", authority.pem()), file("wrong.pem", self::authority().pem()));
    let url = |host: &str, mode: &str, root: &str| {
        format!("postgres://postgres@{host}:{}/postgres?sslmode={mode}&sslrootcert={root}", cluster.port())
    };
    // A server that does not encrypt.
    assert_eq!(open_fault(PostgresStore::open(&url("localhost", "verify-full", &right)).await), FaultKind::Refused);

    cluster.write("server.crt", &certificate.pem());
    cluster.write("server.key", &key.serialize_pem());
    cluster.sql("postgres", "ALTER SYSTEM SET ssl = on");
    cluster.kill();
    cluster.start();
    let store = PostgresStore::open(&url("localhost", "verify-full", &right)).await.unwrap();
    commit(&store, &account("alice")).await.unwrap();
    let encrypted = cluster.sql("postgres", "SELECT count(*) FROM pg_stat_ssl WHERE ssl");
    assert_ne!(encrypted, "0");
    // Another authority, and another name.
    for (host, root) in [("localhost", &wrong), ("127.0.0.1", &right)] {
        let opened = PostgresStore::open(&url(host, "verify-full", root)).await;
        assert_eq!(open_fault(opened), FaultKind::Refused, "{host} {root}");
    }
}

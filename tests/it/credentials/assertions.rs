//! Assertions that we sign, looked at by a token endpoint that has the public key.

use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData as _,
};
use serde_json::Value;

use crate::support::doorman::{Doorman, answer, form};
use crate::support::office::{Office, THREE};

const JSON: &str = "application/json";

/// Header and claims of an assertion whose signature is that of the key.
fn verified(assertion: &str, algorithm: &'static dyn VerificationAlgorithm, key: &[u8]) -> Option<(Value, Value)> {
    let (text, signature) = assertion.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    UnparsedPublicKey::new(algorithm, key).verify(text.as_bytes(), &signature).ok()?;
    let (header, claims) = text.split_once('.')?;
    let read = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    Some((read(header), read(claims)))
}

/// An office that delivers to one server, with a credential at another.
pub fn office(target: &Doorman, credential: &str, more: &str) -> Office {
    let office = Office::visits();
    let ca = target.ca.file().display().to_string();
    office.add_settings(&format!("credentials:\n  it: {}", credential.replace("$CA", &ca)));
    let url = target.url("/visits");
    office.connector(
        "legacy",
        &format!(
            "listen: [visits.insert, visits.update]\ntarget: {{url: \"{url}\", credentialsId: it, tls: {{ca: \"{ca}\"}}}}\nstart: beginning\nconcurrency: 16\n{}\n{more}\n",
            crate::support::office::RETRY
        ),
    );
    assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
    office.sql(THREE);
    office
}

/// A secret's file in an office; its path.
pub fn secret(office: &Office, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = office.config().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

#[test]
fn a_client_that_signs_is_believed_by_who_has_its_public_key() {
    let kinds: [(&str, &'static rcgen::SignatureAlgorithm, &'static dyn VerificationAlgorithm); 5] = [
        ("RS256", &PKCS_RSA_SHA256, &RSA_PKCS1_2048_8192_SHA256),
        ("RS384", &PKCS_RSA_SHA256, &RSA_PKCS1_2048_8192_SHA384),
        ("ES256", &PKCS_ECDSA_P256_SHA256, &ECDSA_P256_SHA256_FIXED),
        ("ES384", &PKCS_ECDSA_P384_SHA384, &ECDSA_P384_SHA384_FIXED),
        ("EdDSA", &PKCS_ED25519, &ED25519),
    ];
    for (word, kind, verifier) in kinds {
        let pair = KeyPair::generate_for(kind).unwrap();
        let public = pair.der_bytes().to_vec();
        let server = Arc::new(std::sync::OnceLock::<String>::new());
        let audience = server.clone();
        let target = Doorman::start(move |entry| {
            if entry.path != "/token" {
                let known = entry.header("authorization") == Some("Bearer good");
                return answer(if known { 201 } else { 401 }, "", JSON, "{}");
            }
            let form = form(&entry.body);
            let (header, claims) = verified(&form["client_assertion"], verifier, &public).expect("a good signature");
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            assert_eq!(
                (form["grant_type"].as_str(), form["client_assertion_type"].as_str()),
                ("client_credentials", kind)
            );
            assert_eq!((&header["alg"], &header["kid"]), (&word.into(), &"k1".into()));
            assert_eq!((&claims["iss"], &claims["sub"]), (&"of042".into(), &"of042".into()));
            assert_eq!(claims["aud"], audience.get().unwrap().as_str());
            assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 240);
            assert_eq!(claims["jti"].as_str().unwrap().len(), 32);
            answer(200, "", JSON, r#"{"access_token":"good","token_type":"bearer","expires_in":300}"#)
        });
        server.set(target.url("/token")).unwrap();
        let credential = format!(
            "{{type: oauth2, tokenUrl: \"{}\", clientId: of042, clientAuth: privateKeyJwt, scope: system/Immunization.write, tls: {{ca: $CA}}, \
             assertion: {{key: {{file: key.pem}}, keyId: k1, algorithm: {word}, lifetime: 4m}}}}",
            target.url("/token")
        );
        let office = office(&target, &credential, "");
        secret(&office, "key.pem", &pair.serialize_pem());
        assert_eq!(office.once().0, Some(0), "{word}");
        assert_eq!((target.count("/token"), target.count("/visits")), (1, 3), "{word}");
    }
}

#[test]
fn an_assertion_is_a_grant_and_its_answer_says_where_the_calls_go() {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let public = pair.der_bytes().to_vec();
    let ca = Arc::new(crate::support::ca::Ca::new());
    let instance = Doorman::of(ca.clone(), |entry| {
        let known = entry.header("authorization") == Some("Bearer good");
        answer(if known { 201 } else { 401 }, "", JSON, "{}")
    });
    let (base, ids) = (instance.url("/ignored"), std::sync::Mutex::new(std::collections::HashSet::new()));
    let login = Doorman::of(ca, move |entry| {
        assert_eq!(entry.path, "/token", "a call has gone to the wrong server");
        let form = form(&entry.body);
        assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let (header, claims) = verified(&form["assertion"], &ECDSA_P256_SHA256_FIXED, &public).expect("signed");
        assert_eq!((&header["alg"], &claims["iss"]), (&"ES256".into(), &"sync@project.example".into()));
        assert_eq!((&claims["sub"], &claims["scope"]), (&"clerk@office.example".into(), &"calendar".into()));
        assert!(ids.lock().unwrap().insert(claims["jti"].to_string()), "one id twice");
        answer(200, "", JSON, &format!(r#"{{"access_token":"good","instance_url":"{base}"}}"#))
    });
    let credential = |hosts: &str| {
        format!(
            "{{type: oauth2, grant: jwtBearer, tokenUrl: \"{}\", baseFrom: instance_url, baseHosts: [{hosts}], tls: {{ca: $CA}}, \
             assertion: {{key: {{file: key.pem}}, issuer: sync@project.example, subject: clerk@office.example, claims: {{scope: calendar}}}}}}",
            login.url("/token")
        )
    };
    let office = office(&login, &credential("127.0.0.1"), "");
    secret(&office, "key.pem", &pair.serialize_pem());
    assert_eq!(office.once().0, Some(0));
    assert_eq!(instance.count("/visits"), 3);
    let check = office.run(&["check", "--online"]);
    assert!(check.code == Some(0) && check.stdout.contains(&instance.address().to_string()), "{check:?}");
    // A host that the configuration does not allow gets nothing.
    let elsewhere = self::office(&login, &credential("\"*.my.example\""), "");
    secret(&elsewhere, "key.pem", &pair.serialize_pem());
    assert_eq!(elsewhere.once().0, Some(75));
    let (_, reason) = elsewhere.mode("legacy");
    let reason = reason.unwrap().text;
    assert!(reason.contains("instance_url is not https to a host of `baseHosts`"), "{reason}");
    assert_eq!(instance.count("/visits"), 3);
}

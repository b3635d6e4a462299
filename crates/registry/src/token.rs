//! Proofs of who asks: Basic, and docker's Bearer tokens.
//!
//! A registry answers 401 with the address of its token server; that gives a token for the scopes we name, for our
//! user name and password or for nobody in particular. Source: distribution-spec is silent; docker's "Token
//! Authentication Specification" and OAuth2 companion.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::Method;

use crate::address::{Address, Origin, encode};
use crate::challenge::Challenge;
use crate::dockerconfig::DockerConfig;
use crate::error::{RegistryError, Result};
use crate::http::{Ask, Body, Transport, lock};
use crate::options::Options;
use crate::secret::{Credential, Secret, basic};

/// Largest answer of a token server that is read, in bytes: tokens with many claims reach some 10 KiB.
const MAX_TOKEN_BYTES: u64 = 1 << 20;
/// How long a token holds where the server does not say, in seconds (docker's specification).
const DEFAULT_LIFE: u64 = 60;
/// Tokens are not used in their last seconds.
const MARGIN: u64 = 10;
/// Longest scope that is taken from a challenge, in bytes.
const MAX_SCOPE_BYTES: usize = 4096;

#[derive(Clone)]
struct Proof {
    header: Secret,
    until: Option<Instant>,
}

/// Whom a proof is for, and what it allows; no scopes for a proof that holds for all.
type Purpose = (Origin, Option<Vec<String>>);

/// What we can prove so far, and where our credentials are.
#[derive(Default)]
pub(crate) struct Proofs {
    /// By origin and scopes; `None` are proofs for all scopes: Basic ones, and tokens that the person gave.
    made: Mutex<HashMap<Purpose, Proof>>,
    /// By host as people write it; filled from docker's configuration, or by a login that is being tried.
    credentials: Mutex<HashMap<String, Option<Credential>>>,
}

impl Proofs {
    /// The value of the `Authorization` header, if we have one that holds.
    pub fn get(&self, origin: &Origin, scopes: &[String]) -> Option<Secret> {
        let made = lock(&self.made);
        let wanted = made.get(&(origin.clone(), Some(scopes.to_vec()))).or_else(|| made.get(&(origin.clone(), None)));
        wanted.filter(|p| p.until.is_none_or(|until| until > Instant::now())).map(|p| p.header.clone())
    }

    fn put(&self, origin: &Origin, scopes: Option<&[String]>, header: &Secret, until: Option<Instant>) {
        let scopes = scopes.map(<[String]>::to_vec);
        lock(&self.made).insert((origin.clone(), scopes), Proof { header: header.clone(), until });
    }

    /// Whether any proof was wanted by this origin.
    pub fn any(&self, origin: &Origin) -> bool {
        lock(&self.made).keys().any(|(made_for, _)| made_for == origin)
    }

    /// The credentials for a host. Errors: docker's configuration or a helper cannot be used.
    pub fn credential(&self, host: &str, options: &Options) -> Result<Option<Credential>> {
        // Held while a helper runs, so that many threads start one.
        let mut known = lock(&self.credentials);
        if let Some(found) = known.get(host) {
            return Ok(found.clone());
        }
        let found = match &options.docker_config {
            Some(path) => DockerConfig::load(path)?.credential(host, options.helper_dir.as_deref())?,
            None => None,
        };
        known.insert(host.to_owned(), found.clone());
        Ok(found)
    }

    /// Uses these credentials for a host, whatever is stored.
    pub fn set_credential(&self, host: &str, credential: Credential) {
        lock(&self.credentials).insert(host.to_owned(), Some(credential));
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<f64>,
}

impl Transport {
    /// Makes the proof that one of the challenges asks for; `None` if we have nothing to show.
    pub(crate) fn obtain(&self, ask: &Ask<'_>, challenges: &[Challenge]) -> Result<Option<Secret>> {
        let credential = self.proofs.credential(&ask.place.name, &self.options)?;
        let origin = &ask.address.origin;
        if let Some(Credential::Bearer(token)) = &credential {
            let header = Secret::new(format!("Bearer {}", token.expose()));
            self.proofs.put(origin, None, &header, None);
            return Ok(Some(header));
        }
        if let Some(bearer) = challenges.iter().find(|c| c.scheme == "bearer") {
            return self.token(ask, bearer, credential.as_ref()).map(Some);
        }
        let wants_basic = challenges.iter().any(|c| c.scheme == "basic");
        let Some(Credential::Basic { username, password }) = credential.filter(|_| wants_basic) else {
            return Ok(None);
        };
        let header = basic(&username, &password);
        self.proofs.put(origin, None, &header, None);
        Ok(Some(header))
    }

    fn token(&self, ask: &Ask<'_>, challenge: &Challenge, credential: Option<&Credential>) -> Result<Secret> {
        let origin = &ask.address.origin;
        let realm = self.realm(ask, challenge)?;
        let asked = challenge.get("scope").filter(|s| s.len() <= MAX_SCOPE_BYTES);
        let scopes = match ask.scopes.as_slice() {
            [] => asked.map(|s| s.split(' ').map(str::to_owned).collect()).unwrap_or_default(),
            own => own.to_vec(),
        };
        let answer = self.ask_token(ask, &realm, challenge.get("service"), &scopes, credential)?;
        let wrong = |reason: &str| RegistryError::Protocol {
            host: realm.origin.authority.clone(),
            what: "a token".to_owned(),
            reason: reason.to_owned(),
        };
        let answer: TokenAnswer =
            serde_json::from_slice(&answer).map_err(|_| wrong("it is not the JSON of a token"))?;
        let token = answer.token.or(answer.access_token).filter(|t| !t.is_empty());
        let token = Secret::new(token.ok_or_else(|| wrong("it holds no token"))?);
        if !token.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong("the token holds characters that no header may"));
        }
        let header = Secret::new(format!("Bearer {}", token.expose()));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, which is right here
        let life = answer.expires_in.map_or(DEFAULT_LIFE, |s| s as u64).clamp(DEFAULT_LIFE, 24 * 3600);
        let until = Instant::now() + Duration::from_secs(life - MARGIN);
        self.proofs.put(origin, Some(&ask.scopes), &header, Some(until));
        Ok(header)
    }

    /// Where tokens are made. Passwords go there, so it must speak TLS wherever the registry does.
    fn realm(&self, ask: &Ask<'_>, challenge: &Challenge) -> Result<Address> {
        let host = &ask.address.origin.authority;
        let text = challenge.get("realm").ok_or_else(|| RegistryError::Protocol {
            host: host.clone(),
            what: ask.what.clone(),
            reason: "it asks for a token without telling where one is made".to_owned(),
        })?;
        let refused = |to: String, reason| RegistryError::Redirect { host: host.clone(), to, reason };
        let realm = ask
            .address
            .join(text)
            .map_err(|reason| refused(crate::error::printable(text.split('?').next().unwrap_or_default()), reason))?;
        if ask.address.origin.https && !realm.origin.https {
            return Err(refused(realm.shown(), "its token server would get passwords over plain HTTP"));
        }
        Ok(realm)
    }

    fn ask_token(
        &self,
        ask: &Ask<'_>,
        realm: &Address,
        service: Option<&str>,
        scopes: &[String],
        credential: Option<&Credential>,
    ) -> Result<Vec<u8>> {
        let what = format!("a token for {}", ask.what);
        let mut request = Ask {
            method: Method::GET,
            headers: vec![("accept", "application/json".to_owned())],
            body: Body::None,
            scopes: Vec::new(),
            address: realm.clone(),
            what,
            place: ask.place,
            progress: ask.progress,
        };
        let mut form = Secret::new("");
        let mut proof = None;
        if let Some(Credential::Identity(token)) = credential {
            // OAuth2: the token goes in the body, where no log keeps it.
            let mut text =
                format!("grant_type=refresh_token&client_id=stockade&refresh_token={}", encode(token.expose()));
            text.push_str(&format!("&service={}", encode(service.unwrap_or_default())));
            text.push_str(&format!("&scope={}", encode(&scopes.join(" "))));
            form = Secret::new(text);
            request.method = Method::POST;
            request.headers.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
        } else {
            let mut pairs: Vec<(&str, &str)> = service.map(|s| ("service", s)).into_iter().collect();
            pairs.extend(scopes.iter().map(|s| ("scope", s.as_str())));
            if let Some(Credential::Basic { username, password }) = credential {
                pairs.push(("account", username));
                proof = Some(basic(username, password));
            }
            request.address = realm.with_query(&pairs);
        }
        if !form.is_empty() {
            request.body = Body::Bytes(form.expose().as_bytes());
        }
        let answer = self.send_with(&request, proof.as_ref())?;
        if answer.status == 200 {
            return answer.read(&request, MAX_TOKEN_BYTES);
        }
        Err(answer.into_error(&request, self.user(ask.place).as_deref()))
    }
}

//! Talking to the provider: what it says of itself, and its word on who somebody is, which is believed only after all
//! that [OpenID Connect Core 1.0, 3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation) asks for.

use std::{sync::Arc, time::Duration};

use anima_types::Timestamp;
use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalClaims, AuthType, AuthenticationFlow, AuthorizationCode,
    ClaimsVerificationError, ClientId, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, SignatureVerificationError, SubjectIdentifier, TokenResponse as _, UserInfoClaims,
    UserInfoError,
    core::{
        CoreClient, CoreClientAuthMethod, CoreGenderClaim, CoreIdToken, CoreIdTokenVerifier, CoreJwsSigningAlgorithm,
        CoreProviderMetadata, CoreResponseType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::{CALLBACK, Oidc, claims::Claims};
use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

/// The provider answers in this time.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer of a provider is at most so long.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// What a provider says of itself is asked for again after so long: a key that it dropped is not believed for longer.
const KEPT_SECS: f64 = 3_600.0;
/// A word that is signed by a key that is not known lets it be asked at most so often.
const ASKED_AGAIN_SECS: f64 = 60.0;
/// Two clocks may differ by so much.
const CLOCKS_DIFFER_SECS: i64 = 60;
/// A word on who somebody is was given at most so long ago.
const WORD_SECS: i64 = 600;
/// Signatures that only who has a private key can make: with a shared secret, every other who knows it could.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// What is known of the provider, once it was asked.
#[derive(Default)]
pub struct Provider(Mutex<Option<(Arc<Client>, Timestamp)>>);

/// Where a browser goes, and what is to come back.
pub struct Request {
    /// The provider's address.
    pub url: String,
    /// What the browser comes back with.
    pub state: String,
    /// What stands in the provider's word.
    pub nonce: String,
    /// What proves to the provider that we asked.
    pub verifier: String,
}

/// Why a provider could not be asked.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it does not answer: {0}")]
    Http(#[from] reqwest::Error),
    #[error("its answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    #[error("its answer is none: {0}")]
    Answer(#[from] openidconnect::http::Error),
}

/// All that a provider says of a person, whatever it calls it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Everything(Map<String, Value>);

impl AdditionalClaims for Everything {}

/// Returns the request that a browser takes to the provider.
pub async fn request(app: &App, oidc: &Oidc) -> ApiResult<Request> {
    let client = client(app, oidc, KEPT_SECS).await?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
    let request = client.authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
    let scopes = oidc.scopes.iter().cloned().map(Scope::new);
    let (url, state, nonce) = request.add_scopes(scopes).set_pkce_challenge(challenge).url();
    Ok(Request {
        url: url.to_string(),
        state: state.into_secret(),
        nonce: nonce.secret().clone(),
        verifier: verifier.into_secret(),
    })
}

/// Returns what the provider says of who came back with this code.
pub async fn redeem(app: &App, oidc: &Oidc, code: String, verifier: String, nonce: String) -> ApiResult<Claims> {
    let mut client = client(app, oidc, KEPT_SECS).await?;
    let request = client.exchange_code(AuthorizationCode::new(code)).map_err(|error| away(oidc, &error))?;
    let request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier));
    let answer = request.request_async(&ask).await.map_err(|error| match error {
        RequestTokenError::ServerResponse(answer) => bad_code(oidc, &answer),
        error => away(oidc, &error),
    })?;
    let Some(token) = answer.id_token() else { return Err(bad_word(oidc, "it gave none")) };
    let nonce = Nonce::new(nonce);
    let mut checked = check(app, &client, token, &nonce, answer.access_token());
    if matches!(&checked, Err(ClaimsVerificationError::SignatureVerification(error)) if is_of_another_key(error)) {
        // It may have a new key since it was asked.
        client = self::client(app, oidc, ASKED_AGAIN_SECS).await?;
        checked = check(app, &client, token, &nonce, answer.access_token());
    }
    let subject = checked.map_err(|error| unbelieved(app, oidc, &error))?;
    let mut all = payload(token).ok_or_else(|| bad_word(oidc, "it is not readable"))?;
    // Many providers put no more than the subject into their word, and tell the rest when they are asked.
    if let Ok(request) = client.user_info(answer.access_token().clone(), Some(SubjectIdentifier::new(subject.clone())))
    {
        let told: UserInfoClaims<Everything, CoreGenderClaim> =
            request.request_async(&ask).await.map_err(|error| match error {
                UserInfoError::ClaimsVerification(error) => unbelieved(app, oidc, &error),
                error => away(oidc, &error),
            })?;
        if let Ok(Value::Object(told)) = serde_json::to_value(&told) {
            // What is signed counts.
            for (name, value) in told {
                all.entry(name).or_insert(value);
            }
        }
    }
    Ok(Claims::new(subject, all))
}

async fn client(app: &App, oidc: &Oidc, max_age_secs: f64) -> ApiResult<Arc<Client>> {
    // Whoever comes meanwhile waits for the same answer.
    let mut known = app.provider.0.lock().await;
    if let Some((client, asked_at)) = known.as_ref()
        && (0.0..max_age_secs).contains(&app.now().secs_since(*asked_at))
    {
        return Ok(client.clone());
    }
    let issuer = IssuerUrl::new(oidc.issuer.clone()).map_err(|error| away(oidc, &error))?;
    let metadata = CoreProviderMetadata::discover_async(issuer, &ask).await.map_err(|error| away(oidc, &error))?;
    let methods = metadata.token_endpoint_auth_methods_supported();
    let is_basic = methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
    let redirect = RedirectUrl::new(app.url(CALLBACK.trim_start_matches('/'))).map_err(ApiError::internal)?;
    let id = ClientId::new(oidc.client_id.clone());
    let client = CoreClient::from_provider_metadata(metadata, id, oidc.client_secret.clone());
    let client = client.set_redirect_uri(redirect);
    let auth_type = if is_basic && oidc.client_secret.is_some() { AuthType::BasicAuth } else { AuthType::RequestBody };
    let client = Arc::new(client.set_auth_type(auth_type));
    *known = Some((client.clone(), app.now()));
    Ok(client)
}

/// Returns the subject of a word that is believed.
fn check(
    app: &App,
    client: &Client,
    token: &CoreIdToken,
    nonce: &Nonce,
    access: &AccessToken,
) -> Result<String, ClaimsVerificationError> {
    let now = app.now();
    let time = move || moment(now.plus_secs(-CLOCKS_DIFFER_SECS));
    let (oldest, newest) = (moment(now.plus_secs(-WORD_SECS)), moment(now.plus_secs(CLOCKS_DIFFER_SECS)));
    let verifier: CoreIdTokenVerifier = client.id_token_verifier();
    let verifier =
        verifier.set_allowed_algs(ALGORITHMS).set_time_fn(time).set_issue_time_verifier_fn(move |issued| match (oldest
            ..=newest)
            .contains(&issued)
        {
            true => Ok(()),
            false => Err(format!("it was given at {issued}")),
        });
    let claims = token.claims(&verifier, nonce)?;
    // A word for others that names us, too, is not for us.
    if claims.authorized_party().is_some_and(|party| party.as_str() != client.client_id().as_str()) {
        return Err(ClaimsVerificationError::InvalidAudience("it was given to another party".to_string()));
    }
    if let Some(expected) = claims.access_token_hash() {
        let other = |error: String| ClaimsVerificationError::Other(error);
        let key = token.signing_key(&verifier).map_err(ClaimsVerificationError::SignatureVerification)?;
        let algorithm = token.signing_alg().map_err(ClaimsVerificationError::SignatureVerification)?;
        let found = AccessTokenHash::from_token(access, algorithm, key).map_err(|error| other(error.to_string()))?;
        if found != *expected {
            return Err(other("the access token is not the one that it was given with".to_string()));
        }
    }
    Ok(claims.subject().to_string())
}

fn moment(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.0).unwrap_or_default()
}

/// Returns the claims of a token whose signature was verified.
fn payload(token: &CoreIdToken) -> Option<Map<String, Value>> {
    let text = token.to_string();
    let bytes = URL_SAFE_NO_PAD.decode(text.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// A provider whose keys changed names another one, or none that is known.
const fn is_of_another_key(error: &SignatureVerificationError) -> bool {
    matches!(error, SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_))
}

async fn ask(request: HttpRequest) -> Result<HttpResponse, Failed> {
    // Not followed: a provider that sends us elsewhere is not asked there.
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT).build()?;
    let mut response = client.execute(request.try_into()?).await?;
    let mut answer = openidconnect::http::Response::builder().status(response.status());
    for (name, value) in response.headers() {
        answer = answer.header(name, value);
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > MAX_ANSWER_BYTES {
            return Err(Failed::TooLong);
        }
        body.extend_from_slice(&piece);
    }
    Ok(answer.body(body)?)
}

fn away(oidc: &Oidc, error: &dyn std::error::Error) -> ApiError {
    // The innermost cause is the one that can be cured: a name that is not known, a certificate that is not trusted.
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        why = format!("{why}: {error}");
        source = error.source();
    }
    tracing::warn!(issuer = oidc.issuer, "{} could not be asked: {why}", oidc.issuer);
    ApiError::new(StatusCode::BAD_GATEWAY, "no_provider", format!("{} could not be asked who you are", oidc.title)).hint(
        "Try again soon, or sign in with a password. An administrator looks whether this master reaches the issuer, and calls it \
         what it calls itself: `anima config check`; the master's log says more.",
    )
}

fn bad_code(oidc: &Oidc, answer: &dyn std::fmt::Display) -> ApiError {
    tracing::warn!(issuer = oidc.issuer, "{} did not take a code: {answer}", oidc.issuer);
    let message = format!("{} did not take the code that you came back with", oidc.title);
    ApiError::new(StatusCode::UNAUTHORIZED, "bad_code", message)
        .hint("A code is good once and soon. Begin again at /sign-in; if it is always so, the client's id or secret is wrong.")
}

fn bad_word(oidc: &Oidc, why: &str) -> ApiError {
    tracing::warn!(issuer = oidc.issuer, "the word of {} is not believed: {why}", oidc.issuer);
    let message = format!("what {} says of you is not to be believed: {why}", oidc.title);
    ApiError::new(StatusCode::UNAUTHORIZED, "bad_id_token", message).hint("Begin again at /sign-in.")
}

fn unbelieved(app: &App, oidc: &Oidc, error: &ClaimsVerificationError) -> ApiError {
    let ClaimsVerificationError::Expired(why) = error else { return bad_word(oidc, &error.to_string()) };
    tracing::warn!(issuer = oidc.issuer, "the word of {} is of another time: {why}", oidc.issuer);
    let message = format!("what {} says of you is of another time than ours: {why}", oidc.title);
    ApiError::new(StatusCode::UNAUTHORIZED, "wrong_clock", message).hint(format!(
        "Begin again at /sign-in. If it is always so, a clock is wrong: this machine's says {}.",
        app.now()
    ))
}

//! The one form in which the API tells of an error.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of every answer of 400 and above.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// A stable word for programs, such as `not_found` or `stale_lease`: one of [`CODES`], to which newer masters add.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// What to do about it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// All words for programs with which the Master Service says no, in their order, and what each means. A word is never used
/// for something else, and none is taken away as long as the API is of version 1.
pub const CODES: &[(&str, &str)] = &[
    ("already_built", "The package was built already."),
    ("approvals_missing", "More people have to approve the release first."),
    ("approved", "The caller has approved it already."),
    ("bad_address", "A part of the address cannot be what it stands for."),
    ("bad_body", "The body is not the JSON object that is wanted."),
    ("bad_code", "The code is not known, was used already, or its time is over."),
    ("bad_cursor", "The cursor is not one of this list."),
    ("bad_days", "That number of days is not allowed."),
    ("bad_event", "There is no such kind of event."),
    ("bad_fingerprint", "It is not the fingerprint of a key."),
    ("bad_flow", "The sign-in was not begun in this browser, was ended already, or took too long."),
    ("bad_form", "The form is not from here or is too old, or its fields cannot be read."),
    ("bad_id_token", "What the OpenID provider says of the person is not to be believed."),
    ("bad_issuer", "The issuer is not one, or not the one that was asked."),
    ("bad_key", "The Idempotency-Key, or the key that a report brings, is not of its form."),
    ("bad_kind", "Files of that kind are not signed."),
    ("bad_limit", "It is no number of tasks."),
    ("bad_metadata", "The file is not of the kind of metadata that it is said to be."),
    ("bad_method", "The address does not take this method."),
    ("bad_minutes", "That number of minutes is not allowed."),
    ("bad_name", "The name cannot be used."),
    ("bad_options", "The options of the key do not go together."),
    ("bad_package", "The file is no package that can be read."),
    ("bad_password", "The new password cannot be used."),
    ("bad_permission", "There is no such permission."),
    ("bad_policy", "The key's policy cannot be kept."),
    ("bad_query", "The query of the address cannot be read."),
    ("bad_range", "The file has no such part."),
    ("bad_reason", "The reason is too long, or cannot be shown."),
    ("bad_revocation", "It is no revocation of the key."),
    ("bad_role", "The role cannot be given so."),
    ("bad_search", "What is searched for cannot be."),
    ("bad_signature", "A signature is not good, or does not fit into its package."),
    ("bad_splice", "The splice cannot be read."),
    ("bad_subject", "It is no subject of an OpenID provider."),
    ("bad_text", "The text cannot be signed."),
    ("bad_time", "It is no time, or one that is too far away."),
    ("bad_title", "The name for people cannot be shown."),
    ("bad_token", "The token is not known here."),
    ("bad_url", "The webhook, or its address, cannot be used."),
    ("bad_user_id", "It is no user id of a key."),
    ("bad_validity", "The key would be good for too short a time."),
    ("bad_value", "A value cannot be kept, such as a text with a NUL byte."),
    ("changed_meanwhile", "Somebody else was faster."),
    ("deleted", "What the build made was deleted."),
    ("disabled", "The account is disabled."),
    ("empty", "There is nothing in it, and something has to be."),
    ("forbidden", "The caller may not."),
    ("gate_asks", "A gate wants a reason."),
    ("gate_blocks", "A gate forbids the release."),
    ("in_progress", "The same request is being done just now."),
    ("in_use", "Something else needs it."),
    ("internal", "Something is wrong with the service."),
    ("interrupted", "The body ended before its end."),
    ("key_reused", "The Idempotency-Key was used for another request."),
    ("last_way", "It is the only way in which its person can sign in."),
    ("log_closed", "The task has ended, and its log with it."),
    ("log_differs", "The log has other bytes at that place."),
    ("log_full", "The log is as long as logs get."),
    ("log_gap", "The log does not reach to that place yet."),
    ("missing_artifact", "The report names an artifact that was not uploaded."),
    ("missing_signature", "The report has not all signatures that were asked for."),
    ("name_taken", "Another node has this name."),
    ("never_built", "The package was never built for the platform."),
    ("no_condition", "The change does not take `If-Match`, and was not done."),
    ("no_database", "The database does not answer."),
    ("no_edit", "There is no such word of a person to take back."),
    ("no_git_service", "The Git Service does not answer."),
    ("no_holder", "It is not said who has the right."),
    ("no_key", "There is no key for it yet."),
    ("no_kinds", "The claim names no kind of task."),
    ("no_limit", "It is no bound that ends."),
    ("no_packages", "No package is named."),
    ("no_person", "The caller has no account."),
    ("no_platform", "No platform is named."),
    ("no_product", "There is no product for it."),
    ("no_provider", "The OpenID provider cannot be asked."),
    ("no_reason", "A reason is wanted."),
    ("no_role", "A token that is nobody's needs a role."),
    ("no_store", "The object store does not answer."),
    ("no_such_piece", "A file has no such piece."),
    ("no_token", "It was not asked with a token."),
    ("node_ends", "The node ends, and gets nothing more."),
    ("node_too_old", "The node is too old for this master."),
    ("not_allowed", "The person is not allowed to sign in here."),
    ("not_found", "There is no such thing."),
    ("not_linked", "The build is not for the product."),
    ("not_newest", "Another release came after it."),
    ("not_planned", "The release has no plan that waits."),
    ("not_signed", "A package has not the signature that it needs."),
    ("not_succeeded", "The build has not succeeded."),
    ("nothing", "There is nothing to do it with."),
    ("nothing_failed", "Nothing of it failed."),
    ("nothing_known", "Nothing is known of what was named."),
    ("out_of_disk", "The disk is full."),
    ("out_of_scope", "The token is narrowed, and not for this."),
    ("outcome_unknown", "Nobody knows whether the request was done: the master was stopped in the middle of it."),
    ("own_work", "Somebody else has to approve what one asked for."),
    ("plan_changed", "The plan is not the one that was seen."),
    ("provider_refused", "The OpenID provider did not say who the person is."),
    ("refused", "A person said no."),
    ("refused_by_policy", "The key's policy forbids it."),
    ("rotates_already", "The product is getting a new key already."),
    ("snapshot_dropped", "The snapshot was dropped."),
    ("stale_lease", "The lease is not held any more."),
    ("taken", "The name is taken."),
    ("team_full", "The team keeps as much in the store as it may."),
    ("token_expired", "The token's time is over."),
    ("token_needed", "Somebody has to sign in, or to send a token."),
    ("too_few", "It is less than has to be kept."),
    ("too_long", "It is too long."),
    ("too_many", "There are too many."),
    ("too_many_events", "Too many kinds of event are named."),
    ("too_many_keys", "The product had too many keys."),
    ("too_often", "It was asked too often; `Retry-After` says when to ask again."),
    ("too_old", "It is too long ago."),
    ("twice", "Something is named twice."),
    ("unknown_architecture", "The platform has no such architecture."),
    ("unknown_flavor", "The platform has no such flavor."),
    ("unknown_identity", "Nobody here is linked to who the provider speaks of."),
    ("unknown_package", "The Git Service has no such repository."),
    ("unknown_platform", "There is no such platform."),
    ("unknown_reference", "The repository has no such branch, tag or commit."),
    ("unknown_repository", "The product has no such repository."),
    ("wrong_clock", "The provider's word is of another time: a clock is wrong."),
    ("wrong_hash", "The bytes hash to something else."),
    ("wrong_kind", "The artifact is not of the kind that it is said to be."),
    ("wrong_outcome", "The report is of another kind than the task."),
    ("wrong_password", "The name or the password is wrong."),
    ("wrong_status", "It cannot be done in the status that it is in."),
];

/// Returns whether a word is one of [`CODES`].
pub fn is_code(word: &str) -> bool {
    CODES.binary_search_by_key(&word, |(code, _)| code).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_stands_once_in_its_order_with_a_sentence() {
        assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (code, sentence) in CODES {
            let is_word = code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(is_word && is_code(code) && sentence.ends_with('.'), "{code}");
        }
        assert!(!is_code("nonsense"));
    }
}

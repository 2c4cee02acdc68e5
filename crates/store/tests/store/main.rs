//! What the store promises, in a folder and in a bucket.

mod artifacts;
mod logs;
mod place;

#[test]
fn all_of_this_holds_in_a_bucket_too() {
    anima_testkit::again_on_object_store(false);
}

//! Schemas of texts with a form of their own, for the API's description.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, SchemaFormat, schema::Schema, schema::Type},
};

use crate::{Arch, Nevra, Sha256, Timestamp, right::Thing};

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

macro_rules! texts {
    ($($type:ty = $name:literal, $schema:expr;)*) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    )*};
}

texts! {
    Timestamp = "Timestamp", text("A moment, by RFC 3339.").format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    Sha256 = "Sha256", text("A SHA-256, as hexadecimal digits.").pattern(Some("^[0-9a-f]{64}$"));
    Arch = "Arch", text("An architecture.").enum_values(Some(Arch::ALL.map(Arch::name)));
    Nevra = "Nevra", text("A package: name, epoch where there is one, version, release and architecture.")
        .pattern(Some("^.+-.+-.+[.].+$"));
    Thing = "Thing", text("What a right is for.").pattern(Some("^((platform|product):.+|key:[1-9][0-9]{0,8})$"));
}

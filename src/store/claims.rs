//! Names that are taken together with something that is no actor. Births take theirs in the journal's own commit.

use mixvideo_entities::claim::{Column, Entity, Model};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, IntoActiveModel};

use crate::runtime::journal::Claim;

/// Takes `claim` for what stands at `address`; the one that came first when the name is taken.
pub(super) async fn take(
    connection: &impl ConnectionTrait,
    claim: &Claim,
    address: &str,
) -> Result<Option<Model>, DbErr> {
    let row = Model {
        name: claim.name.clone(),
        fingerprint: claim.fingerprint.clone(),
        actor: address.to_owned(),
        answer: claim.answer.clone(),
        expires: claim.expires.0,
    };
    let first_wins = OnConflict::column(Column::Name).do_nothing().to_owned();
    let taken = Entity::insert(row.into_active_model()).on_conflict(first_wins).exec_without_returning(connection);
    if taken.await? > 0 { Ok(None) } else { Entity::find_by_id(&*claim.name).one(connection).await }
}

//! What was run for a user, as a list.

use mixvideo_entities::task::{Column, Entity};
use sea_orm::{ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::{Database, Error};
use crate::domain::Timestamp;
use crate::domain::ids::TaskId;
use crate::domain::task::Status;

/// One execution in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// The task.
    pub task: TaskId,
    /// The template it runs.
    pub template_code: String,
    /// How far it is.
    pub status: Status,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// Whose executions to list.
#[derive(Clone, Debug)]
pub struct Filter<'a> {
    /// The user that they are for.
    pub user_id: &'a str,
    /// Only those that this owner asked for.
    pub owner: Option<&'a str>,
}

/// Up to `limit` executions, the newest first, older than `before`.
///
/// # Errors
/// A read that failed, or a row that cannot be read.
pub async fn list(
    database: &Database,
    filter: &Filter<'_>,
    before: Option<&(Timestamp, TaskId)>,
    limit: u64,
) -> Result<Vec<Execution>, Error> {
    let mut find = matching(filter);
    if let Some((at, task)) = before {
        let earlier = Column::CreatedAt.lt(at.0);
        let same_time = Condition::all().add(Column::CreatedAt.eq(at.0)).add(Column::Id.lt(task.as_str()));
        find = find.filter(Condition::any().add(earlier).add(same_time));
    }
    let find = find
        .select_only()
        .columns([Column::Id, Column::TemplateCode, Column::Status, Column::CreatedAt])
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .limit(limit)
        .into_tuple::<(String, Option<String>, String, i64)>();
    let rows = database.read("list the executions", async |db| find.all(db).await).await?;
    rows.into_iter().map(execution).collect()
}

/// How many there are.
///
/// # Errors
/// A read that failed.
pub async fn count(database: &Database, filter: &Filter<'_>) -> Result<u64, Error> {
    let find = matching(filter);
    database.read("count the executions", async |db| find.count(db).await).await
}

fn matching(filter: &Filter<'_>) -> Select<Entity> {
    let find = Entity::find().filter(Column::UserId.eq(filter.user_id));
    match filter.owner {
        Some(owner) => find.filter(Column::Owner.eq(owner)),
        None => find,
    }
}

fn execution(
    (id, template_code, status, created_at): (String, Option<String>, String, i64),
) -> Result<Execution, Error> {
    let corrupt = |what: String| Error::Corrupt { table: "tasks", id: id.clone(), what };
    Ok(Execution {
        task: TaskId::parse(&id).map_err(|error| corrupt(error.to_string()))?,
        template_code: template_code.unwrap_or_default(),
        status: status.parse().map_err(|_| corrupt(format!("the status `{status}`")))?,
        created_at: Timestamp(created_at),
    })
}

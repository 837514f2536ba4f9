//! Templates: what is offered.

use std::sync::Arc;

use mixvideo_entities::template::{Column, Entity, Model};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::{Map, Value};

use super::cache::Cache;
use super::{Database, Error};
use crate::domain::Timestamp;
use crate::domain::task::TaskType;

/// Templates are read for every new task and change by hand.
const CACHE_MS: i64 = 1_000;
const CACHED_MAX: usize = 1_000;

/// What a template makes. The names are documented.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, strum::EnumString, strum::IntoStaticStr,
)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
pub enum TemplateType {
    /// A picture.
    Image,
    /// A video.
    Video,
}

impl TemplateType {
    /// The type of the tasks that follow such a template.
    #[must_use]
    pub const fn task_type(self) -> TaskType {
        match self {
            Self::Image => TaskType::ImageGeneration,
            Self::Video => TaskType::VideoGeneration,
        }
    }
}

/// A template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Its code: the name it is bought and run by.
    pub code: String,
    /// Its name for people.
    pub name: String,
    /// What it makes, in a sentence.
    pub description: String,
    /// Its price in credits.
    pub credit_cost: i64,
    /// Its version for people.
    pub version: String,
    /// What it makes.
    pub template_type: TemplateType,
    /// The workflow it runs.
    pub workflow: String,
    /// Whether it can be run.
    pub is_active: bool,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// What its workflow is given unless the customer says otherwise.
    pub settings: Map<String, Value>,
    /// Its product at Stripe.
    pub stripe_product_id: Option<String>,
    /// Its price at Stripe.
    pub stripe_price_id: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The templates. Clones share a cache.
#[derive(Clone, Debug)]
pub struct Templates {
    database: Database,
    cache: Arc<Cache<String, Option<Arc<Template>>>>,
}

impl Templates {
    /// The templates of `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, cache: Arc::new(Cache::new(CACHED_MAX, CACHE_MS)) }
    }

    /// Those that can be run, by code.
    ///
    /// # Errors
    /// A read that failed, or a row that cannot be read.
    pub async fn active(&self) -> Result<Vec<Template>, Error> {
        let find = Entity::find()
            .filter(Column::DeletedAt.is_null())
            .filter(Column::IsActive.eq(true))
            .order_by_asc(Column::Code);
        let rows = self.database.read("list the templates", async |db| find.all(db).await).await?;
        rows.into_iter().map(template).collect()
    }

    /// A template, active or not; read at most a second ago.
    ///
    /// # Errors
    /// A read that failed, or a row that cannot be read.
    pub async fn by_code(&self, code: &str, now: Timestamp) -> Result<Option<Arc<Template>>, Error> {
        if let Some(known) = self.cache.get(code, now) {
            return Ok(known);
        }
        let read = async || {
            let find = Entity::find_by_id(code).filter(Column::DeletedAt.is_null());
            let row = self.database.read("look up the template", async |db| find.one(db).await).await?;
            Ok(row.map(template).transpose()?.map(Arc::new))
        };
        self.cache.get_or_read(&code.to_owned(), now, read).await
    }

    /// How many there are, active or not.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn count(&self) -> Result<u64, Error> {
        let find = Entity::find().filter(Column::DeletedAt.is_null());
        self.database.read("count the templates", async |db| find.count(db).await).await
    }

    /// Stores a template; `false`, and nothing changes, when its code is taken.
    ///
    /// # Errors
    /// A write that failed.
    pub async fn insert(&self, new: &Template) -> Result<bool, Error> {
        let insert = Entity::insert(row(new).into_active_model())
            .on_conflict(OnConflict::column(Column::Code).do_nothing().to_owned());
        let rows =
            self.database.write("store the template", async |db| insert.exec_without_returning(db).await).await?;
        self.cache.clear();
        Ok(rows > 0)
    }
}

fn template(row: Model) -> Result<Template, Error> {
    let corrupt = |what: String| Error::Corrupt { table: "templates", id: row.code.clone(), what };
    Ok(Template {
        template_type: row
            .template_type
            .parse()
            .map_err(|_| corrupt(format!("the template type `{}`", row.template_type)))?,
        tags: serde_json::from_str(&row.tags).map_err(|error| corrupt(format!("tags that are no list: {error}")))?,
        settings: serde_json::from_str(&row.settings)
            .map_err(|error| corrupt(format!("settings that are no object: {error}")))?,
        code: row.code,
        name: row.name,
        description: row.description,
        credit_cost: row.credit_cost,
        version: row.version,
        workflow: row.workflow,
        is_active: row.is_active,
        stripe_product_id: row.stripe_product_id,
        stripe_price_id: row.stripe_price_id,
        created_at: Timestamp(row.created_at),
    })
}

fn row(new: &Template) -> Model {
    let template_type: &str = new.template_type.into();
    Model {
        code: new.code.clone(),
        name: new.name.clone(),
        description: new.description.clone(),
        credit_cost: new.credit_cost,
        version: new.version.clone(),
        template_type: template_type.to_owned(),
        workflow: new.workflow.clone(),
        is_active: new.is_active,
        tags: Value::from(new.tags.clone()).to_string(),
        image_model: None,
        image_prompt: None,
        video_model: None,
        video_prompt: None,
        settings: Value::Object(new.settings.clone()).to_string(),
        receiver_id: None,
        stripe_product_id: new.stripe_product_id.clone(),
        stripe_price_id: new.stripe_price_id.clone(),
        last_stripe_sync_at: None,
        created_at: new.created_at.0,
        updated_at: new.created_at.0,
        deleted_at: None,
    }
}

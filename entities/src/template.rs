//! A template that can be bought and run.

use sea_orm::entity::prelude::*;

/// A row of `templates`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "templates")]
pub struct Model {
    /// Its code.
    #[sea_orm(primary_key, auto_increment = false)]
    pub code: String,
    /// Its name for people.
    pub name: String,
    /// What it makes.
    pub description: String,
    /// Its price in credits.
    pub credit_cost: i64,
    /// Its version for people.
    pub version: String,
    /// What it makes: `IMAGE` or `VIDEO`.
    pub template_type: String,
    /// The name of the workflow it runs.
    pub workflow: String,
    /// Whether it can be run.
    pub is_active: bool,
    /// A JSON list of texts.
    pub tags: String,
    /// The model for pictures.
    pub image_model: Option<String>,
    /// The prompt for pictures.
    pub image_prompt: Option<String>,
    /// The model for videos.
    pub video_model: Option<String>,
    /// The prompt for videos.
    pub video_prompt: Option<String>,
    /// A JSON object with the parameters of its steps.
    pub settings: String,
    /// Who is paid.
    pub receiver_id: Option<String>,
    /// Its product at Stripe.
    pub stripe_product_id: Option<String>,
    /// Its price at Stripe.
    pub stripe_price_id: Option<String>,
    /// When Stripe was last told, in milliseconds.
    pub last_stripe_sync_at: Option<i64>,
    /// In milliseconds.
    pub created_at: i64,
    /// In milliseconds.
    pub updated_at: i64,
    /// When it was withdrawn, in milliseconds.
    pub deleted_at: Option<i64>,
    /// How often it was written, this time included.
    pub revision: i64,
    /// What it is found by, in lower case.
    pub words: String,
    /// Since when the gateway is to be told of it, in milliseconds; null when it was told.
    pub sync_wanted_at: Option<i64>,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

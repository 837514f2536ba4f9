//! Between a template and its row.

use mixvideo_entities::{template, template_revision};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Revision, Template};
use crate::domain::Timestamp;
use crate::domain::template::Content;
use crate::store::Error;

/// Stands around each tag in the words of a template (U+001F, unit separator): no text that is searched for holds it.
const AROUND_TAG: char = '\u{1f}';

/// What the row of a template with these words holds when it has `tag`.
pub(super) fn tag_words(tag: &str) -> String {
    format!("{AROUND_TAG}{}{AROUND_TAG}", text_words(tag))
}

/// `text` as the words of a template hold it. Lower case is made here and not by the database: SQLite knows ASCII alone.
pub(super) fn text_words(text: &str) -> String {
    text.replace(AROUND_TAG, " ").to_lowercase()
}

fn words(code: &str, content: &Content) -> String {
    let mut words: String = content.tags.iter().map(|tag| tag_words(tag)).collect();
    for text in [code, &content.name, &content.description] {
        words.push('\n');
        words.push_str(&text_words(text));
    }
    words
}

pub(super) fn template(row: template::Model) -> Result<Template, Error> {
    let corrupt = |what: String| Error::Corrupt { table: "templates", id: row.code.clone(), what };
    let template_type = row.template_type.parse();
    let content = Content {
        template_type: template_type.map_err(|_| corrupt(format!("the template type `{}`", row.template_type)))?,
        tags: read(&row.tags).map_err(|error| corrupt(format!("tags that are no list: {error}")))?,
        settings: read(&row.settings).map_err(|error| corrupt(format!("settings that are no object: {error}")))?,
        name: row.name,
        description: row.description,
        credit_cost: row.credit_cost,
        version: row.version,
        workflow: row.workflow,
        image_model: row.image_model,
        image_prompt: row.image_prompt,
        video_model: row.video_model,
        video_prompt: row.video_prompt,
        receiver_id: row.receiver_id,
    };
    Ok(Template {
        code: row.code,
        content,
        revision: row.revision.unsigned_abs(),
        is_active: row.is_active,
        stripe_product_id: row.stripe_product_id,
        stripe_price_id: row.stripe_price_id,
        last_stripe_sync_at: row.last_stripe_sync_at.map(Timestamp),
        created_at: Timestamp(row.created_at),
        updated_at: Timestamp(row.updated_at),
    })
}

pub(super) fn of_template(template: &Template) -> template::Model {
    let Content {
        name,
        description,
        credit_cost,
        version,
        template_type,
        workflow,
        tags,
        image_model,
        image_prompt,
        video_model,
        video_prompt,
        settings,
        receiver_id,
    } = template.content.clone();
    let template_type: &str = template_type.into();
    template::Model {
        words: words(&template.code, &template.content),
        code: template.code.clone(),
        name,
        description,
        credit_cost,
        version,
        template_type: template_type.to_owned(),
        workflow,
        is_active: template.is_active,
        tags: write(&tags),
        image_model,
        image_prompt,
        video_model,
        video_prompt,
        settings: write(&settings),
        receiver_id,
        stripe_product_id: template.stripe_product_id.clone(),
        stripe_price_id: template.stripe_price_id.clone(),
        last_stripe_sync_at: template.last_stripe_sync_at.map(|at| at.0),
        created_at: template.created_at.0,
        updated_at: template.updated_at.0,
        deleted_at: None,
        revision: signed(template.revision),
        sync_wanted_at: Some(template.updated_at.0),
    }
}

pub(super) fn revision(row: template_revision::Model) -> Result<Revision, Error> {
    let content = read(&row.content).map_err(|error| Error::Corrupt {
        table: "template_revisions",
        id: format!("{}/{}", row.code, row.revision),
        what: format!("content that is none: {error}"),
    })?;
    Ok(Revision {
        number: row.revision.unsigned_abs(),
        content,
        created_at: Timestamp(row.created_at),
        created_by: row.created_by,
    })
}

/// The revision that `template` is at.
pub(super) fn of_revision(template: &Template, by: &str) -> template_revision::Model {
    template_revision::Model {
        code: template.code.clone(),
        revision: signed(template.revision),
        content: write(&template.content),
        created_at: template.updated_at.0,
        created_by: by.to_owned(),
    }
}

pub(super) fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
}

fn write(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts, numbers and objects with text keys always have a JSON text")
}

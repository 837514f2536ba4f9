//! The description as the tests read it.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// The description.
pub struct Api(pub Value);

/// One operation of it.
pub struct Operation<'a> {
    /// In capitals.
    pub method: String,
    pub path: &'a str,
    /// What is said of it.
    pub says: &'a Value,
}

impl Operation<'_> {
    /// Its name in messages.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Its parameters in a place, such as `path`.
    pub fn parameters(&self, place: &str) -> impl Iterator<Item = &Value> {
        let all = self.says["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(move |parameter| parameter["in"] == place)
    }

    /// The schema of its JSON body.
    pub fn body(&self) -> Option<&Value> {
        self.says["requestBody"]["content"]["application/json"].get("schema")
    }

    /// The schema of its JSON answer with a status.
    pub fn answer(&self, status: u64) -> Option<&Value> {
        self.says["responses"][status.to_string()]["content"]["application/json"].get("schema")
    }
}

impl Api {
    pub fn read() -> Self {
        Self(serde_json::from_str(mixvideo::http::document()).unwrap())
    }

    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        self.0["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, says)| Operation { method: method.to_uppercase(), path, says })
        })
    }

    pub fn schemas(&self) -> &Map<String, Value> {
        self.0["components"]["schemas"].as_object().unwrap()
    }

    /// A schema behind its reference.
    pub fn resolve<'a>(&'a self, mut schema: &'a Value) -> &'a Value {
        while let Some(name) = schema["$ref"].as_str() {
            schema = self.0.pointer(name.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("{name} leads nowhere"));
        }
        schema
    }

    /// Judges values by a schema of the description, formats included.
    pub fn validator(&self, schema: &Value) -> Validator {
        let mut needed = Map::new();
        self.gather(schema, &mut needed);
        let root = json!({ "allOf": [schema], "components": { "schemas": needed } });
        jsonschema::options().should_validate_formats(true).build(&root).unwrap()
    }

    /// The schemas that a schema refers to, and those that they do.
    fn gather(&self, schema: &Value, needed: &mut Map<String, Value>) {
        match schema {
            Value::Object(object) => {
                let name =
                    object.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next());
                if let Some(name) = name.filter(|name| !needed.contains_key(*name)) {
                    needed.insert(name.to_owned(), self.schemas()[name].clone());
                    self.gather(&self.schemas()[name], needed);
                }
                object.values().for_each(|value| self.gather(value, needed));
            }
            Value::Array(items) => items.iter().for_each(|item| self.gather(item, needed)),
            _ => {}
        }
    }

    /// Why a value is not what a schema says, and nothing when it is.
    pub fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        self.validator(schema).iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// The schemas of which a schema is put together, itself included.
    fn parts<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        let schema = self.resolve(schema);
        let below = ["allOf", "anyOf", "oneOf"].iter().filter_map(|part| schema[*part].as_array()).flatten();
        std::iter::once(schema).chain(below.flat_map(|part| self.parts(part))).collect()
    }

    /// What a schema says of a property. `None` when it has none of this name; an object that may hold anything has all.
    pub fn property<'a>(&'a self, schema: &'a Value, name: &str) -> Option<&'a Value> {
        let parts = self.parts(schema);
        let named = parts.iter().find_map(|part| part["properties"].get(name));
        let any = parts.iter().find_map(|part| part.get("additionalProperties")).filter(|any| **any != json!(false));
        let free = parts.iter().all(|part| part.get("properties").is_none());
        named.or(any).or(if free { Some(&Value::Null) } else { None })
    }

    pub fn items<'a>(&'a self, schema: &'a Value) -> &'a Value {
        self.parts(schema).into_iter().find_map(|part| part.get("items")).unwrap_or(&Value::Null)
    }

    /// An example of a schema, put together from those of its properties.
    pub fn example(&self, schema: &Value) -> Value {
        let schema = self.resolve(schema);
        if let Some(example) =
            schema.get("example").or_else(|| schema.get("const")).or_else(|| schema["examples"].get(0))
        {
            return example.clone();
        }
        if let Some(choice) = schema["oneOf"].get(0).or_else(|| schema["anyOf"].get(0)) {
            return self.example(choice);
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("object");
        match kind {
            _ if schema["enum"][0].is_string() => schema["enum"][0].clone(),
            "string" if schema["format"] == "date-time" => json!("2024-01-01T00:00:00.000Z"),
            "string" => json!("text"),
            "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(1)),
            "boolean" => json!(true),
            "array" => json!([self.example(&schema["items"])]),
            "null" => Value::Null,
            _ => {
                let parts = self.parts(schema);
                let properties = parts.iter().filter_map(|part| part["properties"].as_object()).flatten();
                Value::Object(properties.map(|(name, says)| (name.clone(), self.example(says))).collect())
            }
        }
    }
}

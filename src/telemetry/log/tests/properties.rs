//! Whatever is logged, every event is one sound line.

use proptest::{collection::vec, prelude::*, sample::select};
use tracing::field;

use super::{Form, PRETTY, context, line, logged, object, printed};

/// A value of any kind that is logged.
#[derive(Clone, Debug)]
enum Any {
    Text(String),
    Debug(String),
    Float(f64),
    Wide(i128),
    Flag(bool),
}

/// Characters of every kind, those that do harm more often than others.
fn text() -> impl Strategy<Value = String> {
    let hostile = select(vec![
        '\n', '\r', '\t', '\0', '\u{1b}', '"', '\\', '\u{85}', '\u{9b}', '\u{2028}', '\u{202e}',
        '\u{2069}', ' ', '=', '{', 'é', '漢', '🦀',
    ]);
    let char = prop_oneof![any::<char>(), hostile, proptest::char::range('a', 'c')];
    vec(char, 0..12).prop_map(|chars| chars.into_iter().collect())
}

fn name() -> impl Strategy<Value = String> {
    let known = [
        "message",
        "timestamp",
        "level",
        "target",
        "trace_id",
        "task_id",
        "sessionId",
        "a",
        "fields.a",
        "fields.level",
        "fields_left_out",
    ];
    prop_oneof![text(), select(known.map(str::to_owned).to_vec())]
}

fn value() -> impl Strategy<Value = Any> {
    prop_oneof![
        text().prop_map(Any::Text),
        text().prop_map(Any::Debug),
        any::<f64>().prop_map(Any::Float),
        any::<i128>().prop_map(Any::Wide),
        any::<bool>().prop_map(Any::Flag),
    ]
}

impl Any {
    fn value(&self) -> Box<dyn field::Value + '_> {
        match self {
            Self::Text(value) => Box::new(&**value),
            Self::Debug(value) => Box::new(field::debug(value)),
            Self::Float(value) => Box::new(*value),
            Self::Wide(value) => Box::new(*value),
            Self::Flag(value) => Box::new(*value),
        }
    }
}

proptest! {
    #[test]
    fn every_event_is_one_sound_line(
        message in text(),
        target in text(),
        ids in (text(), text(), name(), text()),
        fields in vec((name(), value()), 0..8),
    ) {
        let (task, session, key, tenant) = ids;
        let mut all: Vec<(&str, &dyn field::Value)> = vec![("message", &message)];
        let values: Vec<_> = fields.iter().map(|(name, value)| (name, value.value())).collect();
        all.extend(values.iter().map(|(name, value)| (&***name, value as &dyn field::Value)));
        let event = super::Logged { target: &target, ..logged(all) };
        // No context: nothing looks like an id.
        let bare = object(&event);
        prop_assert_eq!(bare.len(), 4 + fields.len());
        prop_assert!(bare.get("task_id").or(bare.get("trace_id")).is_none());

        let _attached = context(&task, &session, &[(&key, &tenant)]).attach();
        let printed_object = object(&event);
        prop_assert_eq!(&printed_object["message"], &message);
        prop_assert_eq!(&printed_object["target"], &target);
        prop_assert_eq!(&printed_object["task_name"], &task);
        prop_assert_eq!(&printed_object["sessionId"], &session);
        prop_assert_eq!(&printed_object["level"], "INFO");
        // `line` holds the rest: one line, nothing in it that does harm.
        let pretty = line(PRETTY, &event);
        prop_assert!(pretty.ends_with(" trace=4bf92f3577b34da6a3ce929d0e0e4736"));
        for form in [Form::Json, PRETTY] {
            let printed = printed(form, || event.dispatch());
            prop_assert_eq!(printed.matches('\n').count(), 1);
        }
    }
}

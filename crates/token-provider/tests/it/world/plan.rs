//! Draws up a life from a seed: how long, who calls for what, and what goes wrong when.

use std::time::Duration;

use fastrand::Rng;
use token_provider::{Scope, TokenKey};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

/// Lifetimes that callers ask for: what servers offer, and some that are awkward.
const LIFETIMES: [u64; 15] =
    [20, 30, 45, 60, 100, 300, 600, 900, 1800, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 12 * HOUR, DAY];

pub(crate) struct Plan {
    /// When callers and trouble end, in timer time.
    pub(crate) horizon: Duration,
    pub(crate) keys: Vec<TokenKey>,
    pub(crate) max_tokens: usize,
    pub(crate) events: Vec<(Duration, Event)>,
    pub(crate) callers: Vec<Caller>,
    /// Whether to wait at the end until every token should have been dropped.
    pub(crate) ends_idle: bool,
    /// Whether all tokens are replaced after a rotation.
    pub(crate) replaces: bool,
}

/// What changes in the world.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Weather(Weather),
    /// Somebody sets the wall clock by so many seconds.
    SetWall(i64),
    SetWallRight,
    /// The machine sleeps for so many seconds.
    Suspend(u64),
    /// The virtual machine is stopped for so many seconds.
    Freeze(u64),
    /// The access key in use is no longer accepted.
    Revoke,
    /// A new access key, which is accepted, takes its place.
    Rotate,
    /// Services refuse all tokens that were issued so far.
    Refuse,
    /// Somebody has all tokens replaced.
    ReplaceAll,
}

/// How the issuer behaves for a while.
#[derive(Clone, Debug)]
pub(crate) enum Weather {
    Fair,
    /// Answers well, and takes seconds to.
    Slow,
    Down,
    /// Accepts connections and answers nothing until the attempt's limit.
    Hanging,
    /// As above, with an attempt that knows no limit.
    Lost,
    Failing(Option<u64>),
    Throttled(Option<u64>),
    /// Refuses every access key, for its own reasons.
    Refusing,
    /// Answers with something else than a token.
    Garbage,
    Panicking,
    /// Any of the above, drawn for each request, one time in so many.
    Flaky(u64),
    /// Grants another lifetime than was asked for.
    Lifetime(Lifetime),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Lifetime {
    Of(u64),
    Share(f64),
}

/// Somebody who asks for tokens.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) seed: u64,
    pub(crate) keys: Vec<(usize, TokenKey)>,
    /// The longest time between two visits, in seconds; they are drawn evenly below it.
    pub(crate) every: f64,
    /// The most that come at once.
    pub(crate) burst: u32,
    /// One in so many waits for a short while only.
    pub(crate) impatient: u32,
    /// Longest silence in seconds, before which a caller makes a number of visits.
    pub(crate) silence: Option<u64>,
    /// One in so many tokens is reported although no service has refused it.
    pub(crate) false_reports: Option<u32>,
    /// How many reports in a row such a caller makes at the most: of all kinds of token if it is more than one.
    pub(crate) flood: usize,
}

/// What may happen to the clocks in one life.
#[derive(Clone, Copy, PartialEq)]
enum Regime {
    Calm,
    Suspends,
    /// The wall clock is set at will. Machines sleep, too.
    WallJumps,
    /// Virtual machines are stopped. Here nobody sets the wall clock: where both clocks are wrong at once, nobody can
    /// know what time it is.
    Freezes,
}

/// A number between the bounds whose logarithm is spread evenly.
fn spread(rng: &mut Rng, low: u64, high: u64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "a rough number is wanted")]
    let (low, high) = (low as f64, high as f64);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "is between the bounds")]
    let number = (low * (high / low).powf(rng.f64())) as u64;
    number
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        // Not the provider's own row of numbers.
        let mut rng = Rng::with_seed(seed ^ 0x504c_414e);
        let horizon = spread(&mut rng, 20 * MINUTE, 2 * DAY);
        let keys = keys(&mut rng);
        let mut events = weather(&mut rng, horizon);
        events.extend(jumps(&mut rng, horizon));
        events.extend(rotations(&mut rng, horizon));
        events.extend(refusals(&mut rng, horizon));
        events.sort_by_key(|(at, _)| *at);
        let callers = (0..rng.usize(1..=5)).map(|_| Caller::new(&mut rng, &keys, horizon)).collect();
        // Now and then there is room for fewer tokens than are wanted.
        let max_tokens = if rng.u8(..8) == 0 { rng.usize(1..=keys.len()) } else { 512 };
        let ends_idle = rng.u8(..4) == 0;
        let horizon = Duration::from_secs(horizon);
        Self { horizon, keys, max_tokens, events, callers, ends_idle, replaces: rng.bool() }
    }
}

fn keys(rng: &mut Rng) -> Vec<TokenKey> {
    let scope = Scope::new("openid").ok();
    (0..rng.usize(1..=6))
        .map(|index| {
            let lifetime = Duration::from_secs(LIFETIMES[rng.usize(..LIFETIMES.len())]);
            let key = TokenKey::new(lifetime).expect("is in range");
            // Two keys of one lifetime are two keys only with different scopes.
            let own = Scope::new(&format!("key-{index}")).ok();
            key.with_scope(if index == 0 { scope.clone() } else { own })
        })
        .collect()
}

/// Fair and foul weather by turns.
fn weather(rng: &mut Rng, horizon: u64) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    let roughness = spread(rng, 2 * MINUTE, 12 * HOUR);
    let mut at = if rng.u8(..3) == 0 { 0 } else { spread(rng, 1, roughness) };
    while at < horizon {
        let millis = rng.u64(..1000);
        events.push((Duration::from_millis(at * 1000 + millis), Event::Weather(Weather::foul(rng))));
        at += spread(rng, 1, 2 * HOUR);
        events.push((Duration::from_secs(at), Event::Weather(Weather::Fair)));
        at += spread(rng, 1, roughness);
    }
    events
}

fn jumps(rng: &mut Rng, horizon: u64) -> Vec<(Duration, Event)> {
    let regime = match rng.u8(..10) {
        0..=2 => Regime::Calm,
        3 | 4 => Regime::Suspends,
        5..=7 => Regime::WallJumps,
        _ => Regime::Freezes,
    };
    if regime == Regime::Calm {
        return Vec::new();
    }
    let mut events = Vec::new();
    let every = spread(rng, 5 * MINUTE, 8 * HOUR);
    let mut at = spread(rng, 1, every);
    while at < horizon {
        let event = match (regime, rng.u8(..4)) {
            (Regime::WallJumps, 0) => Event::SetWallRight,
            (Regime::WallJumps, 1 | 2) => {
                let by = spread(rng, 1, DAY).cast_signed();
                Event::SetWall(if rng.bool() { by } else { -by })
            }
            (Regime::Freezes, 0..=2) => Event::Freeze(spread(rng, 1, 2 * DAY)),
            _ => Event::Suspend(spread(rng, 1, 2 * DAY)),
        };
        events.push((Duration::from_millis(at * 1000 + rng.u64(..1000)), event));
        at += spread(rng, 1, every);
    }
    events
}

/// Keys that are revoked, and replaced after a while; and keys that are replaced in peace.
fn rotations(rng: &mut Rng, horizon: u64) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    if rng.bool() {
        return events;
    }
    let mut at = spread(rng, MINUTE, 12 * HOUR);
    while at < horizon {
        let millis = rng.u64(..1000);
        if rng.bool() {
            events.push((Duration::from_millis(at * 1000 + millis), Event::Revoke));
            at += spread(rng, 1, 2 * HOUR);
        }
        // A file that is written in pieces, or checked too often, is a change several times over.
        let changes = if rng.u8(..3) == 0 { rng.u64(2..=12) } else { 1 };
        let mut millis = at * 1000 + rng.u64(..1000);
        for _ in 0..changes {
            events.push((Duration::from_millis(millis), Event::Rotate));
            millis += rng.u64(..400);
        }
        at += spread(rng, MINUTE, 12 * HOUR);
    }
    events
}

/// Tokens that services refuse before they expire, and people who have all replaced, some over and over.
fn refusals(rng: &mut Rng, horizon: u64) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    if rng.bool() {
        return events;
    }
    let every = spread(rng, 10 * MINUTE, 12 * HOUR);
    let mut at = spread(rng, 1, every);
    while at < horizon {
        let event = if rng.u8(..3) == 0 { Event::ReplaceAll } else { Event::Refuse };
        let mut millis = at * 1000 + rng.u64(..1000);
        for _ in 0..rng.u64(1..=6) {
            events.push((Duration::from_millis(millis), event.clone()));
            millis += spread(rng, 1, 60_000);
        }
        at += spread(rng, 1, every);
    }
    events
}

impl Weather {
    pub(crate) fn foul(rng: &mut Rng) -> Self {
        match rng.u8(..18) {
            0..=2 => Self::Down,
            3 => Self::Hanging,
            4 => Self::Lost,
            5 | 6 => Self::Failing(retry_after(rng)),
            7 | 8 => Self::Throttled(retry_after(rng)),
            9 | 10 => Self::Refusing,
            11 => Self::Garbage,
            12 => Self::Panicking,
            13 => Self::Slow,
            14 | 15 => Self::Lifetime(Lifetime::odd(rng)),
            _ => Self::Flaky(rng.u64(1..=4)),
        }
    }
}

fn retry_after(rng: &mut Rng) -> Option<u64> {
    match rng.u8(..4) {
        0 => None,
        1 => Some(spread(rng, 300, DAY)),
        _ => Some(rng.u64(..300)),
    }
}

impl Lifetime {
    fn odd(rng: &mut Rng) -> Self {
        match rng.u8(..8) {
            0 => Self::Of(0),
            1 => Self::Of(1),
            2 => Self::Of(rng.u64(2..=14)),
            3 => Self::Of(u64::from(u32::MAX)),
            // The shortest that can be handed out at all.
            4 => Self::Of(11),
            5 => Self::Of(spread(rng, 10, 10 * DAY)),
            _ => Self::Share(rng.f64()),
        }
    }
}

impl Caller {
    fn new(rng: &mut Rng, keys: &[TokenKey], horizon: u64) -> Self {
        let mut all: Vec<(usize, TokenKey)> = keys.iter().cloned().enumerate().collect();
        rng.shuffle(&mut all);
        let some = all[..rng.usize(1..=keys.len())].to_vec();
        let visits = spread(rng, 10, 800);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let every = 2.0 * horizon as f64 / visits as f64;
        let caller = Self {
            seed: rng.u64(..),
            keys: some,
            every,
            burst: match rng.u8(..16) {
                0 => 1000,
                1..=4 => 20,
                _ => 1,
            },
            impatient: rng.u32(2..10),
            silence: rng.bool().then(|| spread(rng, MINUTE, 12 * HOUR)),
            false_reports: (rng.u8(..4) == 0).then(|| rng.u32(3..100)),
            flood: if rng.u8(..4) == 0 { 100 } else { 1 },
        };
        let floods = caller.false_reports.is_some() && caller.flood > 1;
        if floods { Self { keys: all, ..caller } } else { caller }
    }
}

impl Event {
    pub(crate) fn is_about_clocks(&self) -> bool {
        matches!(self, Self::SetWall(_) | Self::SetWallRight | Self::Suspend(_) | Self::Freeze(_))
    }

    /// Whether this is trouble in itself. (Weather is counted by the requests that it spoils.)
    pub(crate) fn is_fault(&self) -> bool {
        !matches!(self, Self::Weather(_))
    }
}

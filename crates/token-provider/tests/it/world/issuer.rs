//! The issuer, as the weather has it.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use token_provider::{Issue, Issued, TokenError, TokenErrorKind, TokenKey};
use tokio::time::sleep;

use super::World;
use super::judge::Answer;
use super::plan::{Lifetime, Weather};

/// HERE's own attempts are bounded so.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);

/// What hangs over the issuer.
pub(crate) struct Sky {
    pub(crate) weather: Weather,
    /// The newest access key that is accepted no longer.
    pub(crate) revoked: Option<u64>,
    /// Services refuse the tokens with a smaller number.
    pub(crate) refused: usize,
    rng: Rng,
}

impl Sky {
    pub(crate) fn new(seed: u64) -> Self {
        Self { weather: Weather::Fair, revoked: None, refused: 0, rng: Rng::with_seed(seed ^ 0x0053_4b59) }
    }

    /// Decides what becomes of one request.
    fn fate(&mut self) -> Fate {
        let rng = &mut self.rng;
        let weather = match &self.weather {
            Weather::Flaky(one_in) if rng.u64(..=*one_in) == 0 => Weather::foul(rng),
            Weather::Flaky(_) => Weather::Fair,
            weather => weather.clone(),
        };
        let quick = Duration::from_millis(rng.u64(1..=400));
        let failure = |kind| Fate { after: quick, end: End::Fail(kind, None) };
        match weather {
            // A shower within a shower is a dry spell.
            Weather::Fair | Weather::Flaky(_) => Fate { after: quick, end: End::Grant(None) },
            Weather::Slow => Fate { after: Duration::from_millis(rng.u64(500..9900)), end: End::Grant(None) },
            Weather::Lifetime(lifetime) => Fate { after: quick, end: End::Grant(Some(lifetime)) },
            Weather::Down => failure(TokenErrorKind::Unreachable),
            Weather::Hanging => Fate { after: ATTEMPT_LIMIT, end: End::Fail(TokenErrorKind::TimedOut, None) },
            Weather::Lost => Fate { after: quick, end: End::Never },
            Weather::Panicking => Fate { after: quick, end: End::Panic },
            Weather::Refusing => failure(TokenErrorKind::Rejected { status: 403, code: None }),
            Weather::Garbage => {
                let status = [200, 302, 403, 404][rng.usize(..4)];
                failure(TokenErrorKind::InvalidAnswer { status: Some(status) })
            }
            Weather::Failing(asked) => {
                let status = [408, 500, 502, 503][rng.usize(..4)];
                Fate { after: quick, end: End::Fail(TokenErrorKind::Unavailable { status }, asked) }
            }
            Weather::Throttled(asked) => {
                Fate { after: quick, end: End::Fail(TokenErrorKind::Throttled, asked) }
            }
        }
    }
}

/// What becomes of one request.
struct Fate {
    after: Duration,
    end: End,
}

enum End {
    Grant(Option<Lifetime>),
    Fail(TokenErrorKind, Option<u64>),
    Never,
    Panic,
}

pub(crate) struct Issuer {
    world: Arc<World>,
    keys: Vec<TokenKey>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issuer")
    }
}

impl Issuer {
    pub(crate) fn new(world: Arc<World>, keys: Vec<TokenKey>) -> Self {
        Self { world, keys }
    }

    async fn answer(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        let index =
            self.keys.iter().position(|known| known == key).expect("callers ask for the plan's keys alone");
        let credential = self.world.judge().credential();
        let mut flight = Flight::begin(&self.world, index);
        let (fate, way_there) = {
            let mut sky = self.world.sky();
            (sky.fate(), sky.rng.f64())
        };
        // Somewhere on the way there and back the issuer starts to count.
        sleep(fate.after.mul_f64(way_there)).await;
        let counted_from = self.world.clocks.now().truth;
        let is_revoked = self.world.sky().revoked.is_some_and(|revoked| credential <= revoked);
        sleep(fate.after.mul_f64(1.0 - way_there)).await;
        match fate.end {
            End::Grant(_) if is_revoked => {
                flight.fail(TokenErrorKind::Rejected { status: 401, code: Some(401_300) }, None)
            }
            End::Grant(lifetime) => {
                let asked = key.lifetime().as_secs();
                let expires_in = match lifetime {
                    // HERE often grants a second less.
                    None => asked - u64::from(self.world.sky().rng.bool()),
                    Some(Lifetime::Of(seconds)) => seconds,
                    Some(Lifetime::Share(share)) => key.lifetime().mul_f64(share).as_secs(),
                };
                let token = flight.grant(counted_from, expires_in);
                Ok(Issued::new(token, Duration::from_secs(expires_in)))
            }
            End::Fail(kind, asked) => flight.fail(kind, asked),
            End::Never => std::future::pending().await,
            // Without the message that a panic writes by itself.
            End::Panic => std::panic::resume_unwind(Box::new("planted panic")),
        }
    }
}

impl Issue for Issuer {
    async fn issue(&self, key: &TokenKey) -> Result<Issued, TokenError> {
        self.answer(key).await
    }
}

/// A request under way. However it ends, the judge hears of it.
struct Flight<'a> {
    world: &'a World,
    key: usize,
    has_landed: bool,
}

impl<'a> Flight<'a> {
    fn begin(world: &'a World, key: usize) -> Self {
        world.judge().request_begins(key, world.clocks.now());
        Self { world, key, has_landed: false }
    }

    fn land(&mut self, answer: Answer) -> usize {
        self.has_landed = true;
        self.world.judge().request_ends(self.key, answer, self.world.clocks.now())
    }

    fn grant(&mut self, counted_from: Duration, expires_in: u64) -> String {
        let number = self.land(Answer::Token { counted_from, expires_in });
        format!("t{number}")
    }

    fn fail(&mut self, kind: TokenErrorKind, asked: Option<u64>) -> Result<Issued, TokenError> {
        // The contract's own words: 400, 401 and 403 are refusals, wherever they come from.
        let is_refusal = matches!(
            kind,
            TokenErrorKind::Rejected { .. } | TokenErrorKind::InvalidAnswer { status: Some(400..=403), .. }
        );
        self.land(Answer::Failure { is_refusal, retry_after: asked });
        let asked = asked.map(Duration::from_secs);
        Err(TokenError::new(kind, "the weather").with_retry_after(asked))
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.has_landed {
            self.land(Answer::Failure { is_refusal: false, retry_after: None });
        }
    }
}

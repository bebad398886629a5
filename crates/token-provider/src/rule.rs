//! The rules that the other modules keep, by name, so that a test can break one and see that the simulation notices.
//!
//! Without the feature `mutation` every rule is kept, and the compiler knows: nothing of this is left in a program.

/// A rule that can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "mutation"),
    expect(unreachable_pub, reason = "public for this crate's own tests alone")
)]
#[non_exhaustive]
pub enum Rule {
    /// A token is not handed out within ten seconds of its expiry.
    ExpiryMargin,
    /// A token is expired when the wall clock says so, whatever the boot clock says.
    WallClockCounts,
    /// A token is expired when the boot clock says so, whatever the wall clock says.
    BootClockCounts,
    /// A lifetime counts from the moment the request was sent.
    LifetimeFromSending,
    /// A token that cannot be handed out when it arrives is a failure, with a pause after it.
    ExpiredOnArrival,
    /// A refresh is early enough to be done before a quarter of the lifetime is left.
    RefreshInTime,
    /// However short a token lives, its successor is not asked for at once.
    ShortestRefresh,
    /// A due token is handed out while it is refreshed.
    RefreshBehindCallers,
    /// A caller who finds a token due before its keeper does wakes the keeper.
    DueIsNoticed,
    /// A sleeping keeper looks at the clocks now and then, whatever its timer says.
    ClocksAreLookedAt,
    /// A caller who finds no usable token wakes the keeper.
    WaiterWakesKeeper,
    /// A caller waits for ten seconds at most.
    WaitIsBounded,
    /// One request is in flight for a key.
    SingleFlight,
    /// A request that does not come to an end is given up.
    AttemptIsBounded,
    /// An issuer that panics is a failure, with a pause after it.
    PanicIsCaught,
    /// A failure is told at once to all who wait.
    FailureIsTold,
    /// There is a pause after a failure, longer each time.
    Backoff,
    /// `Retry-After` is honoured.
    RetryAfter,
    /// … but not beyond five minutes.
    RetryAfterBound,
    /// A refused request is repeated once a minute.
    RefusedSlowly,
    /// A slot is not let go while its failures should be remembered.
    FailureMemory,
    /// A failing request that nobody wants is given up after a while.
    Patience,
    /// A change of the credential ends the pause after a refusal.
    RotationEndsPause,
    /// … also when it came while the refused request was in flight.
    RotationInFlight,
    /// A token that nobody asks for is let go.
    IdleLetGo,
    /// There is a bound on slots.
    SlotBound,
    /// A token out of the issuer's own cache is due by the lifetime that was asked for, not by what it has left.
    CachedIsNotNew,
    /// An issuer whose own token is due is not asked for its successor all the time.
    CacheIsLeftAlone,
    /// A token out of a cache takes the held one's place only if it is another one, and lives longer.
    SuccessorLivesLonger,
}

#[cfg(feature = "mutation")]
thread_local! {
    static BROKEN: std::cell::Cell<Option<Rule>> = const { std::cell::Cell::new(None) };
}

impl Rule {
    /// Every rule there is.
    #[cfg(feature = "mutation")]
    pub const ALL: &[Self] = &[
        Self::ExpiryMargin,
        Self::WallClockCounts,
        Self::BootClockCounts,
        Self::LifetimeFromSending,
        Self::ExpiredOnArrival,
        Self::RefreshInTime,
        Self::ShortestRefresh,
        Self::RefreshBehindCallers,
        Self::DueIsNoticed,
        Self::ClocksAreLookedAt,
        Self::WaiterWakesKeeper,
        Self::WaitIsBounded,
        Self::SingleFlight,
        Self::AttemptIsBounded,
        Self::PanicIsCaught,
        Self::FailureIsTold,
        Self::Backoff,
        Self::RetryAfter,
        Self::RetryAfterBound,
        Self::RefusedSlowly,
        Self::FailureMemory,
        Self::Patience,
        Self::RotationEndsPause,
        Self::RotationInFlight,
        Self::IdleLetGo,
        Self::SlotBound,
        Self::CachedIsNotNew,
        Self::CacheIsLeftAlone,
        Self::SuccessorLivesLonger,
    ];

    /// Breaks a rule on this thread, or (`None`) has all of them kept again.
    #[cfg(feature = "mutation")]
    pub fn break_on_this_thread(rule: Option<Self>) {
        BROKEN.set(rule);
    }

    #[cfg(feature = "mutation")]
    pub(crate) fn is_kept(self) -> bool {
        BROKEN.get() != Some(self)
    }

    #[cfg(not(feature = "mutation"))]
    #[expect(clippy::unused_self, reason = "the counterpart above uses it")]
    pub(crate) const fn is_kept(self) -> bool {
        true
    }
}

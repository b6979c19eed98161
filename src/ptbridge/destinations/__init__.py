"""Destinations: one file per billing platform, found by listing this folder (files that start with `_` are not platforms).

Each file declares `INFO: DestinationInfo` and one function with the same signature in all of them:

    def build(
        spec: DestinationSpec,              # the clinic file's `destination`
        *,
        clinic: str,                        # the clinic's short name
        http: HttpClient | None,            # already holds base URL, credential, rate; None when `base_url` is not needed
        billing: BillingProviderSpec,       # the clinic file's `billing_provider`
        folder: Path | None,                # `destination.folder`, resolved by the caller; None when not needed
        run_id: str,                        # names this run, without patient data; unique over the runs of a clinic
        claims: ClaimsSpec = NO_CLAIMS,     # the clinic file's `claims`: what a claim states on the clinic's word
    ) -> Destination

`INFO.needs` says which of `base_url` and `folder` must be set; `build` raises ConfigError when one is missing or an option
is unknown. The destination owns `http` from then on: `close` closes it.
"""

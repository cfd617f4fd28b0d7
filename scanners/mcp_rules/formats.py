"""The credentials whose issuers give them a form of their own. Data.

Each form is as its issuer documents or prints it. What has none (an AWS secret key, a
Cloudflare token, a Datadog key) is told by its name or by how random it looks.
"""

from __future__ import annotations

# The first part of a Discord token is the number of an account.
_DIGITS_IN_BASE64 = r"(?:[MNO][DTjz][AEIMQUYcgk][w-z0-5]){5}"

FORMATS: dict[str, str] = {
    "GitHub token": r"gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{22,255}",
    "GitLab token": r"gl(?:pat|ptt|dt|rt|cbt|soat)-[A-Za-z0-9_.-]{20,}",
    "AWS access key": r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
    "Google API key": r"AIza[A-Za-z0-9_-]{35}",
    "Google OAuth token": r"ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}",
    "Azure storage key": r"AccountKey=[A-Za-z0-9+/]{86}==",
    "Azure client secret": r"[A-Za-z0-9_.~-]{3}[0-9]Q~[A-Za-z0-9_.~-]{31,34}",
    "Slack token": r"xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}",
    "Slack webhook": r"hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{20,}",
    "Discord bot token": (
        rf"{_DIGITS_IN_BASE64}[A-Za-z0-9_-]{{0,8}}"
        r"\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}"
    ),
    "Telegram bot token": r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",
    "Twilio key": r"SK[a-f0-9]{32}",
    "SendGrid key": r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "Mailgun key": r"key-[a-f0-9]{32}",
    "Mailchimp key": r"[a-f0-9]{32}-us[0-9]{1,2}",
    "Resend key": r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}",
    "Stripe key": r"[srp]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/]{24,}",
    "Square token": r"sq0(?:atp|csp)-[A-Za-z0-9_-]{22,43}",
    "Shopify token": r"shp(?:at|ca|pa|ss|rt|ua)_[A-Fa-f0-9]{32}",
    # Two digits tell a key from a word such as sk-learn-and-so-on.
    "API key": r"sk-(?=[\w-]*[0-9][\w-]*[0-9])[A-Za-z0-9_-]{20,}",
    "Hugging Face token": r"hf_[A-Za-z0-9]{30,}",
    "Groq key": r"gsk_[A-Za-z0-9]{40,}",
    "Replicate token": r"r8_[A-Za-z0-9]{37}",
    "Perplexity key": r"pplx-[A-Za-z0-9]{40,}",
    "xAI key": r"xai-[A-Za-z0-9]{70,}",
    "ElevenLabs key": r"sk_[a-f0-9]{48}",
    "LangSmith key": r"lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}",
    "Pinecone key": r"pcsk_[A-Za-z0-9_]{50,}",
    "Tavily key": r"tvly-(?:dev-|prod-)?[A-Za-z0-9_-]{24,}",
    "Firecrawl key": r"fc-[a-f0-9]{32}",
    # A digit tells a key from a long name.
    "Brave key": r"BSA(?=[A-Za-z_-]{0,26}[0-9])[A-Za-z0-9_-]{27,28}(?![A-Za-z0-9_-])",
    "npm token": r"npm_[A-Za-z0-9]{36}",
    "PyPI token": r"pypi-[A-Za-z0-9_-]{50,}",
    "RubyGems key": r"rubygems_[a-f0-9]{48}",
    "Docker token": r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}",
    "Artifactory key": r"AKCp[A-Za-z0-9]{60,}",
    "Notion token": r"ntn_[A-Za-z0-9]{40,}|secret_[A-Za-z0-9]{40,}",
    "Linear key": r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}",
    "Figma token": r"fig[dour]_[A-Za-z0-9_-]{36,}",
    "Airtable token": r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}",
    "Atlassian token": r"ATATT3[A-Za-z0-9_=-]{100,}",
    "HubSpot token": r"pat-(?:na|eu|ap)[0-9]-[a-f0-9]{8}(?:-[a-f0-9]{4,12}){4}",
    "ClickUp token": r"pk_[0-9]{6,10}_[A-Z0-9]{32}",
    "Postman key": r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
    "Dropbox token": r"sl\.(?:u\.)?[A-Za-z0-9_-]{120,}",
    "DigitalOcean token": r"do[opr]_v1_[a-f0-9]{64}",
    "Heroku key": r"HRKU-[A-Za-z0-9_-]{58,}",
    "Netlify token": r"nfp_[A-Za-z0-9]{36,}",
    "Supabase token": r"sbp_[a-f0-9]{40}|sb_secret_[A-Za-z0-9_-]{20,}",
    "Neon key": r"napi_[a-z0-9]{40,}",
    "PlanetScale token": r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{32,}",
    "Databricks token": r"dapi[a-f0-9]{32}",
    "Vault token": r"hv[sbr]\.[A-Za-z0-9_-]{24,}",
    "Terraform token": r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}",
    "Doppler token": r"dp\.(?:pt|st|sa|ct|scim|audit)\.[A-Za-z0-9_.-]{40,}",
    "Tailscale key": r"tskey-(?:api|auth|client)-[A-Za-z0-9-]{20,}",
    "Grafana token": r"glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}|glc_[A-Za-z0-9+/=]{32,}",
    "New Relic key": r"NR(?:AK|RA|AL|II)-[A-Z0-9]{27}",
    "Sentry token": r"sntryu_[a-f0-9]{64}|sntrys_[A-Za-z0-9+/=_-]{40,}",
    "PostHog key": r"ph[xs]_[A-Za-z0-9]{40,}",
    "CircleCI token": r"CCI(?:PAT|PRJ)_[A-Za-z0-9]{20,24}_[a-f0-9]{40}",
    "Buildkite token": r"bkua_[a-f0-9]{40}",
    "SentraScan key": r"ssk_[A-Za-z0-9]{8}_[A-Za-z0-9]{38}",
    "JSON Web Token": r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*",
    "age key": r"AGE-SECRET-KEY-1[A-Z0-9]{58}",
    "private key": (
        r"-----BEGIN[A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"[A-Za-z0-9+/=\s\\:,.-]{40,}"
    ),
}
# One of these stands in every token: most texts have none, and are not looked through.
MARKERS = (
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "glptt-"),
    *("gldt-", "glrt-", "glcbt-", "glsoat-", "AKIA", "ASIA", "ABIA", "ACCA", "AIza"),
    *("ya29.", "GOCSPX-", "AccountKey=", "Q~", "xox", "xapp-", "hooks.slack", ":AA"),
    *("SK", "SG.", "key-", "-us", "re_", "k_live_", "k_test_", "whsec_", "sq0", "shp"),
    *("sk-", "hf_", "gsk_", "r8_", "pplx-", "xai-", "sk_", "lsv2_", "pcsk_", "tvly-"),
    *("fc-", "BSA", "npm_", "pypi-", "rubygems_", "dckr_", "AKCp", "ntn_", "secret_"),
    *("lin_", "fig", "pat", "ATATT3", "pk_", "PMAK-", "sl.", "_v1_", "HRKU-", "nfp_"),
    *("sbp_", "napi_", "pscale_", "dapi", "hvs.", "hvb.", "hvr.", "atlasv1", "dp."),
    *("tskey-", "glsa_", "glc_", "NR", "sntry", "phx_", "phs_", "CCIP", "bkua_"),
    *("ssk_", "eyJ", "AGE-SECRET", "PRIVATE KEY"),
)
# The same, where it is more than letters.
MARKED = (_DIGITS_IN_BASE64,)

-- The assistant's own tables: the vault, the schedule, notifications, artifacts, agents, federation and the audit
-- trail. Keys begin with the user, as in the spine.

-- The vault. The plain text never reaches the database: AES-256-GCM, under the key that encryption_key_id names.
CREATE TABLE user_credentials (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    service TEXT NOT NULL CHECK (service <> ''),
    encryption_key_id TEXT NOT NULL,
    nonce BYTEA NOT NULL,
    ciphertext BYTEA NOT NULL,         -- with the authentication tag
    scopes TEXT,
    expires_at TIMESTAMPTZ,            -- of the credential itself
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, service)
);

CREATE TABLE scheduler (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    id TEXT NOT NULL,
    agent TEXT NOT NULL DEFAULT 'cos',
    skill TEXT,
    cron TEXT NOT NULL,
    time_zone TEXT,                    -- the user's when NULL
    next_run TIMESTAMPTZ,              -- NULL: not scheduled
    last_run TIMESTAMPTZ,
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    source TEXT NOT NULL DEFAULT 'user' CHECK (source IN ('user', 'heartbeat')),
    config TEXT NOT NULL DEFAULT '{}', -- JSON
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, id)
);
CREATE INDEX scheduler_due ON scheduler (next_run) WHERE enabled AND next_run IS NOT NULL;

CREATE TABLE notifications (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    id TEXT NOT NULL,
    from_agent TEXT,
    from_cos_id TEXT,                  -- of another instance
    to_cos_thread TEXT,
    message TEXT NOT NULL,
    priority TEXT NOT NULL DEFAULT 'normal' CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    created_at TIMESTAMPTZ NOT NULL,
    delivered_at TIMESTAMPTZ,          -- pushed to a client
    read_at TIMESTAMPTZ,
    PRIMARY KEY (user_id, id)
);
CREATE INDEX notifications_unread ON notifications (user_id, created_at) WHERE read_at IS NULL;

CREATE TABLE artifacts (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    id TEXT NOT NULL,
    type TEXT NOT NULL,                -- daily_plan, email_digest, ...
    title TEXT,
    agent_id TEXT,
    thread_id TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (user_id, id)
);
CREATE INDEX artifacts_by_type ON artifacts (user_id, type, created_at);

-- Seeded from agents/; the same for all users, and nobody's data.
CREATE TABLE agent_templates (
    name TEXT PRIMARY KEY CHECK (name <> ''),
    type TEXT NOT NULL CHECK (type IN ('cos', 'foreground', 'background', 'task')),
    always_active BOOLEAN NOT NULL DEFAULT FALSE,
    digest TEXT NOT NULL,              -- of the files it was seeded from
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    agent_md TEXT NOT NULL,
    tools_md TEXT,
    heartbeat_md TEXT,
    bootstrap_md TEXT,
    soul_md TEXT
);

-- A user's agents: of a template, or made at run time. A NULL file is the template's.
CREATE TABLE agent_instances (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    name TEXT NOT NULL CHECK (name <> ''),
    template TEXT,
    type TEXT NOT NULL CHECK (type IN ('cos', 'foreground', 'background', 'task')),
    is_active BOOLEAN NOT NULL DEFAULT FALSE,
    thread_id TEXT,                    -- the persistent one of a foreground agent
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    agent_md TEXT,
    tools_md TEXT,
    heartbeat_md TEXT,
    bootstrap_md TEXT,
    soul_md TEXT,
    PRIMARY KEY (user_id, name)
);

-- Whom a user's COS talks to. An exchange needs the consent of both sides.
CREATE TABLE cos_trust_registry (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    cos_id TEXT NOT NULL CHECK (cos_id <> ''),
    label TEXT,
    address TEXT,
    trust_level TEXT NOT NULL
        CHECK (trust_level IN ('availability_only', 'context_aware', 'full_collaboration')),
    can_share_calendar BOOLEAN NOT NULL DEFAULT FALSE,
    can_share_priorities BOOLEAN NOT NULL DEFAULT FALSE,
    can_share_stress_level BOOLEAN NOT NULL DEFAULT FALSE,
    blackout_topics TEXT NOT NULL DEFAULT '[]', -- JSON
    consented_at TIMESTAMPTZ,
    peer_consented_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, cos_id)
);

-- What was done on whose behalf; rows are only added.
CREATE TABLE audit (
    user_id TEXT NOT NULL CHECK (user_id <> ''),
    id TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    actor TEXT NOT NULL,               -- who did it: a user, an agent, the system
    action TEXT NOT NULL,
    subject TEXT,                      -- what it was done to
    detail TEXT NOT NULL DEFAULT '{}', -- JSON, without secrets
    PRIMARY KEY (user_id, id)
);
CREATE INDEX audit_by_age ON audit (user_id, created_at);

--@postgresql
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['user_credentials', 'scheduler', 'notifications', 'artifacts',
                                'agent_instances', 'cos_trust_registry', 'audit'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_rows ON %I USING (user_id = current_setting(''app.user_id'')::text)'
                       ' WITH CHECK (user_id = current_setting(''app.user_id'')::text)', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO adjutant_gateway', name);
        IF name <> 'audit' THEN
            EXECUTE format('GRANT UPDATE, DELETE ON %I TO adjutant_gateway', name);
        END IF;
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON agent_templates TO adjutant_gateway;
--@end

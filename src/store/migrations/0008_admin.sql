-- What admins see across users. Row-level security shows the gateway one user at a time; these views read as
-- adjutant_system, past the users' fences. There are three of them, one for each question that has no other answer, and
-- none shows what users say, do or keep: counts, amounts, times, and the audit trail, which holds no secrets by contract.

-- Who is here, and how much they use the house. A user is who has a row or a key; without a key, on an instance that
-- asks for none, who has threads.
CREATE VIEW user_overview AS
SELECT a.user_id,
    COALESCE((SELECT u.created_at FROM users u WHERE u.user_id = a.user_id),
             (SELECT MIN(k.created_at) FROM api_keys k WHERE k.user_id = a.user_id),
             (SELECT MIN(t.created_at) FROM threads t WHERE t.user_id = a.user_id)) AS created_at,
    (SELECT COUNT(*) FROM api_keys k WHERE k.user_id = a.user_id AND NOT k.is_revoked) AS valid_keys,
    (SELECT COUNT(*) FROM threads t WHERE t.user_id = a.user_id) AS threads,
    (SELECT MAX(t.updated_at) FROM threads t WHERE t.user_id = a.user_id) AS last_activity_at,
    (SELECT COALESCE(SUM(g.input_tokens), 0) FROM usage g WHERE g.user_id = a.user_id) AS input_tokens,
    (SELECT COALESCE(SUM(g.output_tokens), 0) FROM usage g WHERE g.user_id = a.user_id) AS output_tokens
FROM (SELECT user_id FROM users UNION SELECT user_id FROM api_keys
      --@sqlite
      UNION SELECT user_id FROM threads
      --@end
     ) a;

-- Amounts, for sums over a stretch of time: a view takes no parameters, so the sums are made by whoever asks. The ids of
-- threads and turns are left out.
CREATE VIEW usage_amounts AS
SELECT user_id, created_at, provider, model, key_owner, input_tokens, output_tokens, cached_input_tokens,
    cache_write_tokens, reasoning_tokens, cost_microusd
FROM usage;

-- The trail of all users: who changed which key, credential or policy, and when.
CREATE VIEW audit_trail AS
SELECT user_id, id, created_at, actor, action, subject, detail FROM audit;
CREATE INDEX audit_of_all ON audit (created_at, id);
CREATE INDEX api_keys_by_age ON api_keys (created_at, key_hash);

--@postgresql
GRANT SELECT (user_id, created_at) ON users TO adjutant_system;
GRANT SELECT (user_id, created_at, updated_at) ON threads TO adjutant_system;
GRANT SELECT (user_id, created_at, is_revoked) ON api_keys TO adjutant_system;
GRANT SELECT (user_id, created_at, provider, model, key_owner, input_tokens, output_tokens, cached_input_tokens,
    cache_write_tokens, reasoning_tokens, cost_microusd) ON usage TO adjutant_system;
GRANT SELECT ON audit TO adjutant_system;
CREATE POLICY system_reads ON users FOR SELECT TO adjutant_system USING (TRUE);
CREATE POLICY system_reads ON threads FOR SELECT TO adjutant_system USING (TRUE);
CREATE POLICY system_reads ON usage FOR SELECT TO adjutant_system USING (TRUE);
CREATE POLICY system_reads ON audit FOR SELECT TO adjutant_system USING (TRUE);
DO $$
BEGIN
    EXECUTE format('GRANT CREATE ON SCHEMA %I TO adjutant_system', current_schema());
    ALTER VIEW user_overview OWNER TO adjutant_system;
    ALTER VIEW usage_amounts OWNER TO adjutant_system;
    ALTER VIEW audit_trail OWNER TO adjutant_system;
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM adjutant_system', current_schema());
END $$;
GRANT SELECT ON user_overview, usage_amounts, audit_trail TO adjutant_gateway;
--@end

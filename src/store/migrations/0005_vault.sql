-- Which credentials stand under which key, across users, so that they can be brought under a new one. On PostgreSQL
-- the view reads as adjutant_system, past the users' fences: names only, as the values are out of its reach.
CREATE VIEW credential_keys AS
SELECT user_id, service, encryption_key_id FROM user_credentials;

--@postgresql
GRANT SELECT (user_id, service, encryption_key_id) ON user_credentials TO adjutant_system;
CREATE POLICY system_reads ON user_credentials FOR SELECT TO adjutant_system USING (TRUE);
DO $$
BEGIN
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO adjutant_system', current_schema());
END $$;
ALTER VIEW credential_keys OWNER TO adjutant_system;
DO $$
BEGIN
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM adjutant_system', current_schema());
END $$;
GRANT SELECT ON credential_keys TO adjutant_gateway;
--@end

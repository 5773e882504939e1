-- A session that has expired counts nowhere, so its deletion revokes nothing.
DROP TRIGGER "user_sessions_revoke" ON "user_sessions";
--> statement-breakpoint
CREATE TRIGGER "user_sessions_revoke" AFTER DELETE ON "user_sessions" FOR EACH ROW WHEN (OLD.expires_at > now()) EXECUTE FUNCTION "revoke_credential"();
--> statement-breakpoint
-- A sign-in that waits for its second factor was begun with the password that is replaced.
CREATE FUNCTION "end_pending_sign_ins"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM user_verifications WHERE value = OLD.user_id AND identifier LIKE '2fa-%';
	RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER "user_credentials_end_sign_ins" AFTER UPDATE ON "user_credentials" FOR EACH ROW WHEN (OLD.password IS DISTINCT FROM NEW.password) EXECUTE FUNCTION "end_pending_sign_ins"();
--> statement-breakpoint
-- Requests at the same moment must not add more than the maximum.
CREATE FUNCTION "limit_passkeys"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM users WHERE id = NEW.user_id FOR NO KEY UPDATE;
	IF (SELECT count(*) FROM user_passkeys WHERE user_id = NEW.user_id) >= 20 THEN
		RAISE EXCEPTION 'the user has 20 passkeys' USING ERRCODE = 'check_violation', CONSTRAINT = 'user_passkeys_max';
	END IF;
	RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER "user_passkeys_limit" BEFORE INSERT ON "user_passkeys" FOR EACH ROW EXECUTE FUNCTION "limit_passkeys"();

CREATE TABLE "revocations" (
	"position" bigserial PRIMARY KEY NOT NULL,
	"transaction" bigint DEFAULT (pg_current_xact_id()::text::bigint) NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	"kind" text NOT NULL,
	"subject" text NOT NULL,
	"version" integer DEFAULT 0 NOT NULL
);
--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "version" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
CREATE INDEX "revocations_transaction" ON "revocations" USING btree ("transaction");--> statement-breakpoint
CREATE INDEX "revocations_at" ON "revocations" USING btree ("at");
--> statement-breakpoint
CREATE FUNCTION "raise_user_version"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF (NEW.role, NEW.tenant, NEW.disabled, NEW.second_factor) IS DISTINCT FROM (OLD.role, OLD.tenant, OLD.disabled, OLD.second_factor) THEN
		NEW.version := OLD.version + 1;
	END IF;
	RETURN NEW;
END $$;
--> statement-breakpoint
CREATE TRIGGER "users_raise_version" BEFORE UPDATE ON "users" FOR EACH ROW EXECUTE FUNCTION "raise_user_version"();
--> statement-breakpoint
CREATE FUNCTION "revoke_user_version"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO revocations (kind, subject, version) VALUES ('user', NEW.id, NEW.version);
	RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER "users_revoke_version" AFTER UPDATE ON "users" FOR EACH ROW WHEN (OLD.version IS DISTINCT FROM NEW.version) EXECUTE FUNCTION "revoke_user_version"();
--> statement-breakpoint
CREATE FUNCTION "raise_version_of_owner"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE users SET version = version + 1 WHERE id = OLD.user_id;
	RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER "user_credentials_raise_version" AFTER UPDATE ON "user_credentials" FOR EACH ROW WHEN (OLD.password IS DISTINCT FROM NEW.password) EXECUTE FUNCTION "raise_version_of_owner"();
--> statement-breakpoint
CREATE TRIGGER "user_passkeys_raise_version" AFTER DELETE ON "user_passkeys" FOR EACH ROW EXECUTE FUNCTION "raise_version_of_owner"();
--> statement-breakpoint
CREATE FUNCTION "revoke_credential"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO revocations (kind, subject) VALUES ('credential', OLD.id);
	RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER "user_sessions_revoke" AFTER DELETE ON "user_sessions" FOR EACH ROW EXECUTE FUNCTION "revoke_credential"();
--> statement-breakpoint
CREATE TRIGGER "api_keys_revoke" AFTER DELETE ON "api_keys" FOR EACH ROW EXECUTE FUNCTION "revoke_credential"();
--> statement-breakpoint
CREATE FUNCTION "announce_tier"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO revocations (kind, subject) VALUES ('tenant', NEW.id);
	RETURN NULL;
END $$;
--> statement-breakpoint
CREATE TRIGGER "tenants_announce_tier" AFTER UPDATE ON "tenants" FOR EACH ROW WHEN (OLD.tier IS DISTINCT FROM NEW.tier) EXECUTE FUNCTION "announce_tier"();

CREATE TABLE "idempotency_keys" (
	"id" text PRIMARY KEY NOT NULL,
	"principal" text NOT NULL,
	"fingerprint" text NOT NULL,
	"attempt" text NOT NULL,
	"reserved_until" bigint NOT NULL,
	"response" text,
	"status" integer,
	"expires_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "idempotency_keys_principal" ON "idempotency_keys" USING btree ("principal");--> statement-breakpoint
CREATE INDEX "idempotency_keys_expires_at" ON "idempotency_keys" USING btree ("expires_at");
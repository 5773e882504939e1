CREATE TABLE "log_assignments" (
	"topic" text NOT NULL,
	"consumer_group" text NOT NULL,
	"generation" bigint NOT NULL,
	"leases" jsonb NOT NULL,
	"partitions" jsonb NOT NULL,
	CONSTRAINT "log_assignments_topic_consumer_group_pk" PRIMARY KEY("topic","consumer_group")
);

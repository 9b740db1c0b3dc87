ALTER TABLE `api_keys` ADD `scopes` text;--> statement-breakpoint
ALTER TABLE `api_keys` ADD `models` text;--> statement-breakpoint
ALTER TABLE `api_keys` ADD `credit_limit` integer;--> statement-breakpoint
ALTER TABLE `api_keys` ADD `credit_limit_period` text;
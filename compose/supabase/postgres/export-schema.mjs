// Prints the SQL of the auth and storage tables of @supabase/lite, so that they exist before any migration runs: migrations reference auth.users and insert into storage.buckets.
import { getAuthSchemaSql, getStorageSchemaSql } from '@supabase/lite';

console.log(`-- Generated from @supabase/lite while the image was built.\n${getAuthSchemaSql(false)}\n${getStorageSchemaSql(false)}`);

// [storage.buckets.NAME] of config.toml: made or brought up to date at every start; the files below objects_path are uploaded if they are not there yet.
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { bucketsOf } from './config.mjs';

const TYPES = {
  '.avif': 'image/avif', '.css': 'text/css', '.csv': 'text/csv', '.gif': 'image/gif', '.html': 'text/html', '.jpeg': 'image/jpeg', '.jpg': 'image/jpeg', '.js': 'text/javascript',
  '.json': 'application/json', '.md': 'text/markdown', '.mp3': 'audio/mpeg', '.mp4': 'video/mp4', '.pdf': 'application/pdf', '.png': 'image/png', '.svg': 'image/svg+xml',
  '.txt': 'text/plain', '.wasm': 'application/wasm', '.webm': 'video/webm', '.webp': 'image/webp', '.xml': 'application/xml', '.zip': 'application/zip',
};

export const contentType = (name) => TYPES[path.extname(name).toLowerCase()] ?? 'application/octet-stream';

export async function seedBuckets({ sql, config, settings, storage, store }) {
  for (const bucket of bucketsOf(config)) {
    try {
      await sql`
        insert into storage.buckets ${sql({ id: bucket.name, name: bucket.name, public: bucket.public, file_size_limit: bucket.file_size_limit, allowed_mime_types: bucket.allowed_mime_types })}
        on conflict (id) do update set public = excluded.public, file_size_limit = excluded.file_size_limit, allowed_mime_types = excluded.allowed_mime_types, updated_at = now()
        where (buckets.public, buckets.file_size_limit, buckets.allowed_mime_types) is distinct from (excluded.public, excluded.file_size_limit, excluded.allowed_mime_types)`;
      if (bucket.objects_path) await uploadFolder({ sql, bucket: bucket.name, folder: path.join(settings.supabaseDir, bucket.objects_path), storage, store, settings });
    } catch (error) {
      console.error(`bucket ${bucket.name}: ${error.message}`);
    }
  }
}

async function uploadFolder({ sql, bucket, folder, storage, store, settings }) {
  const present = new Set((await sql`select name from storage.objects where bucket_id = ${bucket}`).map((row) => row.name));
  let uploaded = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const name = path.relative(folder, file).split(path.sep).join('/');
    if (present.has(name) && (await store.has(bucket, name))) continue;
    const response = await storage.fetch(new Request(`http://localhost/storage/v1/object/${bucket}/${name.split('/').map(encodeURIComponent).join('/')}`, {
      method: 'POST',
      headers: { apikey: settings.secretKey, 'content-type': contentType(name), 'x-upsert': 'true' },
      body: await readFile(file),
    }));
    if (response.ok) uploaded++;
    else console.error(`bucket ${bucket}: ${name} was refused: ${await response.text()}`);
  }
  if (uploaded) console.log(`bucket ${bucket}: ${uploaded} file(s) uploaded`);
}

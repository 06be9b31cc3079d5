import os,re,subprocess,sys
root=sys.argv[1]; mapfile=sys.argv[2]
os.chdir(root)
moves=dict(l.split() for l in open(mapfile) if l.strip() and not l.startswith('#'))
files=subprocess.run(['git','ls-files','*.ts','*.mts','*.js','*.mjs'],capture_output=True,text=True).stdout.split()
fileset=set(files)
rx=re.compile(r"""((?:from|import)\s*\(?\s*)(['"])(\.{1,2}/[^'"]+)\2""")
rx2=re.compile(r"""((?:vi\.mock|new URL|require|resolve)\(\s*)(['"])(\.{1,2}/[^'"]+\.ts)\2""")
def newpath(p): return moves.get(p,p)
for f in files:
    if f.startswith('test/tools') : pass
    s=open(f,encoding='utf8').read()
    nf=newpath(f)
    def rep(m):
        pre,q,spec=m.groups()
        target=os.path.normpath(os.path.join(os.path.dirname(f),spec))
        if target not in fileset: return m.group(0)
        nt=newpath(target)
        if nt==target and nf==f: return m.group(0)
        r=os.path.relpath(nt,os.path.dirname(nf))
        if not r.startswith('.'): r='./'+r
        return pre+q+r+q
    t=rx2.sub(rep,rx.sub(rep,s))
    if t!=s: open(f,'w',encoding='utf8').write(t)
for a,b in moves.items():
    os.makedirs(os.path.dirname(b),exist_ok=True)
    subprocess.check_call(['git','mv',a,b])
# plain mentions
out=subprocess.run(['git','ls-files'],capture_output=True,text=True).stdout.split()
for f in out:
    if f.endswith(('.png','.gz','.jpg')) or 'package-lock' in f or not os.path.isfile(f): continue
    try: s=open(f,encoding='utf8').read()
    except UnicodeDecodeError: continue
    t=s
    for a,b in moves.items():
        t=re.sub(r'(?<![\w./-])'+re.escape(a)+r'\b',b,t)
        if a.endswith('.ts'): t=t.replace('dist/'+a[:-3]+'.js','dist/'+b[:-3]+'.js')
    if t!=s: open(f,'w',encoding='utf8').write(t); print('mentions',f)
